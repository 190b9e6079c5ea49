// graphile-worker: jobs in PostgreSQL. It has no dependencies between jobs: each step adds the next one itself,
// with its result in the payload, and there is no join, hence no fanout.
import { EventEmitter } from 'node:events';
import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker';
import { CHAIN, chunks, fail, main, options, order, orders, settings, sleep, work } from './common.mjs';
import { analyze, disconnect, rows } from './database.mjs';

const preset = {
  worker: {
    connectionString: options.url,
    concurrentJobs: settings.concurrency,
    maxPoolSize: settings.pool,
    pollInterval: 1000,
    // Completions of this many milliseconds go into one statement; -1: each on its own.
    completeJobBatchDelay: settings.complete_batch_ms,
    ...(settings.local_queue > 0 ? { localQueue: { size: settings.local_queue } } : {}),
  },
};
const logger = new Logger(() => () => {});
const events = new EventEmitter();
events.on('job:failed', ({ error }) => fail('a job failed', error));

const chainStep = position => async (payload, helpers) => {
  const result = position === 0 ? work() : work(payload.previous);
  if (position + 1 < CHAIN.length) {
    await helpers.addJob(CHAIN[position + 1], { order: payload.order, previous: result });
  }
};
const taskList = {
  single: async () => work(),
  ...Object.fromEntries(CHAIN.map((name, position) => [name, chainStep(position)])),
};

await runMigrations({ preset, logger });
const utils = await makeWorkerUtils({ preset, logger });
const startWorker = () => run({ preset, taskList, events, logger, noHandleSignals: true });

/** Until no such job is left: "job:complete" comes before the completion is recorded. */
async function untilGone(condition, values, pause_ms) {
  while ((await rows(`SELECT 1 FROM graphile_worker.jobs WHERE ${condition} LIMIT 1`, values)).length > 0) {
    await sleep(pause_ms);
  }
}

async function chain4(count) {
  for (const part of chunks(orders(count), 1000)) {
    await utils.addJobs(part.map(payload => ({ identifier: CHAIN[0], payload })));
  }
  await analyze();
  let runner;
  return {
    async drain() {
      let left = count * CHAIN.length;
      const finished = new Promise(resolve => {
        const seen = () => {
          if (--left > 0) return;
          events.off('job:complete', seen);
          resolve();
        };
        events.on('job:complete', seen);
      });
      runner = await startWorker();
      await finished;
      await untilGone('true', [], 3);
    },
    close: () => runner.stop(),
  };
}

async function latency() {
  const runner = await startWorker();
  const stopped = runner.promise;
  stopped.catch(error => fail('the worker stopped', error));
  return async number => {
    const finished = new Promise(resolve => events.once('job:complete', resolve));
    const job = await utils.addJob('single', order(number));
    await finished;
    await untilGone('id = $1', [job.id], 0);
  };
}

async function stop() {
  await utils.release();
  await disconnect();
}

await main({ chain4, latency, stop });
