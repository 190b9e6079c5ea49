// DBOS Transact: a workflow is a function; each of its steps' results is recorded in PostgreSQL. The workflows are
// started directly, `concurrency` at a time, so submitting is part of the measured time.
import { DBOS } from '@dbos-inc/dbos-sdk';
import { CHAIN, WIDTH, inParallel, main, options, order, settings, sleep, work } from './common.mjs';

const step = (name, ...previous) => DBOS.runStep(async () => work(...previous), { name });

const single = DBOS.registerWorkflow(async () => step('single'), { name: 'single' });

const chain = DBOS.registerWorkflow(async () => {
  let previous = [];
  for (const name of CHAIN) previous = [await step(name, ...previous)];
  return previous[0];
}, { name: 'chain' });

const diamond = DBOS.registerWorkflow(async () => {
  const start = await step('start');
  const middles = Array.from({ length: WIDTH }, (_, number) => step(`middle_${number}`, start));
  return step('join', ...await Promise.all(middles));
}, { name: 'diamond' });

DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: options.url,
  systemDatabasePoolSize: settings.pool,
  logLevel: 'error',
  applicationVersion: 'v1',
  executorID: 'local',
});
await DBOS.launch();

const backlogOf = workflow => async count => ({
  drain: () => inParallel(count, settings.concurrency, async number => work(await workflow(order(number)))),
});

async function latency() {
  return async number => {
    const handle = await DBOS.startWorkflow(single)(order(number));
    work(await handle.getResult());
  };
}

// Its shutdown waits for pollers that may sleep for longer; nothing is left to be saved then.
const stop = () => Promise.race([DBOS.shutdown(), sleep(2000)]);

await main({ chain4: backlogOf(chain), fanout: backlogOf(diamond), latency, stop });
