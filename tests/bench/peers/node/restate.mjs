// Restate: its server journals every step's result and calls the handlers over HTTP. The invocations are submitted
// `concurrency` at a time and awaited, so submitting is part of the measured time. run.py starts this in the
// server's network namespace, hence the fixed ports.
import http from 'node:http';
import * as restate from '@restatedev/restate-sdk';
import { CHAIN, WIDTH, inParallel, main, order, settings, work } from './common.mjs';

const INGRESS_PORT = 8080;
const ADMIN_PORT = 9070;
const SERVICE_PORT = 9080;

const step = (context, name, ...previous) => context.run(name, async () => work(...previous));

const service = restate.service({
  name: 'bench',
  handlers: {
    single: async context => step(context, 'single'),
    chain: async context => {
      let previous = [];
      for (const name of CHAIN) previous = [await step(context, name, ...previous)];
      return previous[0];
    },
    diamond: async context => {
      const start = await step(context, 'start');
      const middles = Array.from({ length: WIDTH }, (_, number) => step(context, `middle_${number}`, start));
      return step(context, 'join', ...await restate.RestatePromise.all(middles));
    },
  },
});

const agent = new http.Agent({ keepAlive: true, maxSockets: 512 });

function post(port, path, body) {
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path, method: 'POST', agent, headers }, response => {
      let answer = '';
      response.on('data', part => { answer += part; });
      response.on('end', () => {
        if (response.statusCode < 300) resolve(JSON.parse(answer));
        else reject(new Error(`${path}: HTTP ${response.statusCode} ${answer}`));
      });
    });
    request.on('error', reject);
    request.end(text);
  });
}

const call = async (handler, number) => work(await post(INGRESS_PORT, `/bench/${handler}`, order(number)));
const backlogOf = handler => async count => ({
  drain: () => inParallel(count, settings.concurrency, number => call(handler, number)),
});

await restate.serve({ services: [service], port: SERVICE_PORT, logger: () => {} });
await post(ADMIN_PORT, '/deployments', { uri: `http://127.0.0.1:${SERVICE_PORT}`, force: true });

await main({
  chain4: backlogOf('chain'),
  fanout: backlogOf('diamond'),
  latency: async () => number => call('single', number),
});
