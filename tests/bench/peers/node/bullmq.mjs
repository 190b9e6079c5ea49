// BullMQ: jobs in Redis. chain4: its flows, trees in which a parent waits for its children: the last step is the
// root. fanout: such a tree can join but not fan out, so the first step adds the tree of the others.
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { CHAIN, WIDTH, chunks, fail, main, options, order, orders, settings, work } from './common.mjs';

const connection = { path: options.redis, maxRetriesPerRequest: null };
const queueName = 'steps';
const queue = new Queue(queueName, { connection });
const flows = new FlowProducer({ connection });

const childResults = async job => Object.values(await job.getChildrenValues());

/** A worker that waits for run(). `completed` comes after Redis has recorded the result. */
async function makeWorker(handler) {
  const worker = new Worker(queueName, handler, { connection, concurrency: settings.concurrency, autorun: false });
  worker.on('failed', (_job, error) => fail('a job failed', error));
  worker.on('error', error => fail('the worker reports', error));
  await worker.waitUntilReady();
  return worker;
}

async function backlogOf(handler, jobs) {
  const worker = await makeWorker(handler);
  return {
    drain: () => new Promise(resolve => {
      let left = jobs;
      worker.on('completed', () => {
        if (--left === 0) resolve();
      });
      worker.run();
    }),
    close: () => worker.close(),
  };
}

const chainNode = (data, position) => ({
  name: CHAIN[position],
  queueName,
  data,
  ...(position > 0 ? { children: [chainNode(data, position - 1)] } : {}),
});

async function chain4(count) {
  for (const part of chunks(orders(count), 100)) {
    await flows.addBulk(part.map(data => chainNode(data, CHAIN.length - 1)));
  }
  const handler = async job => {
    if (job.name === CHAIN[0]) return work();
    const previous = await childResults(job);
    if (previous.length !== 1) throw new Error(`${job.name} has ${previous.length} results before it`);
    return work(...previous);
  };
  return backlogOf(handler, count * CHAIN.length);
}

async function fanout(count) {
  for (const part of chunks(orders(count), 1000)) {
    await queue.addBulk(part.map(data => ({ name: 'start', data })));
  }
  const addRest = ({ data }, previous) => flows.add({
    name: 'join',
    queueName,
    data,
    children: Array.from({ length: WIDTH }, () => ({ name: 'middle', queueName, data: { ...data, previous } })),
  });
  const handlers = {
    async start(job) {
      const result = work();
      await addRest(job, result);
      return result;
    },
    middle: async job => work(job.data.previous),
    async join(job) {
      const results = await childResults(job);
      if (results.length !== WIDTH) throw new Error(`the join got ${results.length} results of ${WIDTH}`);
      return work(...results);
    },
  };
  return backlogOf(job => handlers[job.name](job), count * (WIDTH + 2));
}

async function latency() {
  const events = new QueueEvents(queueName, { connection });
  const worker = await makeWorker(async () => work());
  await events.waitUntilReady();
  worker.run();
  return async number => {
    const job = await queue.add('single', order(number));
    work(await job.waitUntilFinished(events));
  };
}

await main({ chain4, fanout, latency });
