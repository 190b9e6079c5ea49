// pg-boss: jobs in PostgreSQL. chain4: each step's handler inserts the next step's jobs in bulk, which is faster
// than its flows. fanout: its own flows, where a job waits for those it depends upon.
import { PgBoss } from 'pg-boss';
import { CHAIN, WIDTH, chunks, fail, inParallel, main, options, order, orders, settings, sleep, work }
  from './common.mjs';
import { analyze, disconnect, rows } from './database.mjs';

const boss = new PgBoss({
  connectionString: options.url,
  max: settings.pool,
  useListenNotify: true,
  flowIntervalSeconds: 1,
});
boss.on('error', error => fail('pg-boss reports', error));
await boss.start();

const workOptions = {
  batchSize: settings.batch_size,
  localConcurrency: settings.local_concurrency,
  pollingIntervalSeconds: 0.5,
  notifyPollingIntervalSeconds: 0.5,
  // A full batch means that there is more: fetch again at once.
  burstWhenBatchFull: true,
  perJobResults: true,
};
const complete = (jobs, results) =>
  jobs.map((job, at) => ({ id: job.id, status: 'completed', output: results[at] }));

async function createQueues(names) {
  for (const name of names) await boss.createQueue(name, { notify: true });
}

async function completed(name) {
  const [row] = await rows(
    "SELECT count(*)::int AS count FROM pgboss.job WHERE name = $1 AND state = 'completed'", [name]);
  return row.count;
}

/** A backlog whose workers are `handlers` (by queue); it is done when `last` has completed `count` jobs more. */
async function backlogOf(handlers, last, count) {
  await analyze();
  const before = await completed(last);
  return {
    async drain() {
      let seen = 0;
      for (const [name, handler] of Object.entries(handlers)) {
        await boss.work(name, workOptions, async jobs => {
          const results = await handler(jobs);
          if (name === last) seen += jobs.length;
          return complete(jobs, results);
        });
      }
      while (seen < count) await sleep(5);
      while (await completed(last) < before + count) await sleep(2);
    },
    close: () => Promise.all(Object.keys(handlers).map(name => boss.offWork(name))),
  };
}

async function chain4(count) {
  await createQueues(CHAIN);
  for (const part of chunks(orders(count), 1000)) await boss.insert(CHAIN[0], part.map(data => ({ data })));
  const handler = position => async jobs => {
    const results = jobs.map(job => (position === 0 ? work() : work(job.data.previous)));
    const next = CHAIN[position + 1];
    if (next) await boss.insert(next, jobs.map((job, at) => ({ data: { ...job.data, previous: results[at] } })));
    return results;
  };
  const handlers = Object.fromEntries(CHAIN.map((name, position) => [name, handler(position)]));
  return backlogOf(handlers, CHAIN.at(-1), count);
}

async function fanout(count) {
  await createQueues(['start', 'middle', 'join']);
  const middles = Array.from({ length: WIDTH }, (_, number) => `middle_${number}`);
  await inParallel(count, 4, number => boss.flow([
    { ref: 'start', name: 'start', data: order(number) },
    ...middles.map(ref => ({ ref, name: 'middle', data: order(number), dependsOn: ['start'] })),
    { ref: 'join', name: 'join', data: order(number), dependsOn: middles },
  ]));
  const handler = async jobs => jobs.map(() => work());
  return backlogOf({ start: handler, middle: handler, join: handler }, 'join', count);
}

async function latency() {
  await createQueues(['single']);
  const one = { ...workOptions, batchSize: 1, localConcurrency: 1 };
  await boss.work('single', one, async jobs => complete(jobs, jobs.map(() => work())));
  return async number => {
    const id = await boss.send('single', order(number));
    const isComplete = "SELECT 1 FROM pgboss.job WHERE name = 'single' AND id = $1 AND state = 'completed'";
    while ((await rows(isComplete, [id])).length === 0) await sleep(1);
  };
}

async function stop() {
  await boss.stop({ graceful: false });
  await disconnect();
}

await main({ chain4, fanout, latency, stop });
