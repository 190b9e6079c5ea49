// What the drivers of all Node peers share. run.py starts a driver with one JSON argument. The driver submits
// the work, hosts the peer's worker, and prints the JSON lines "begin" and "end"; after each it waits for a line
// on stdin, so that run.py reads the processor time of every process at exactly these moments.
import readline from 'node:readline';

export const options = JSON.parse(process.argv[2]);
export const settings = options.settings;
export const CHAIN = ['step_1', 'step_2', 'step_3', 'step_4'];
export const WIDTH = 10;
const STEPS_PER_TASK = { chain4: CHAIN.length, fanout: WIDTH + 2 };
// Compiled code, connections and caches: what a service has after its first second.
const WARM_UP_TASKS = 100;
const WARM_UP_SAMPLES = 20;
const PAYLOAD = 'x'.repeat(180);

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** A step that does nothing: the same 200 bytes as Tasker's no-op handlers. What it builds upon must be there. */
export function work(...previous) {
  for (const result of previous) {
    if (result?.payload !== PAYLOAD) throw new Error(`a step got ${JSON.stringify(result)} from the one before it`);
  }
  return { ok: true, payload: PAYLOAD };
}

export const order = number => ({ order: number, note: 'benchmark' });
export const orders = count => Array.from({ length: count }, (_, number) => order(number));
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

export function fail(what, error) {
  console.error(`${what}: ${error?.stack ?? error}`);
  process.exit(1);
}

/** Calls `one(i)` for i = 0 … count - 1, at most `width` of them at a time. */
export async function inParallel(count, width, one) {
  let next = 0;
  const lane = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, width) }, lane));
}

/** Cuts a list into parts of at most `size`. */
export function* chunks(list, size) {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

async function say(event, facts = {}) {
  console.log(JSON.stringify({ event, ...facts }));
  await answers.next();
}

async function throughput(load) {
  const warmUp = await load(WARM_UP_TASKS);
  await warmUp.drain();
  await warmUp.close?.();
  const backlog = await load(options.tasks);
  await say('begin');
  const started = performance.now();
  await backlog.drain();
  const seconds = (performance.now() - started) / 1000;
  await say('end', { steps: options.tasks * STEPS_PER_TASK[options.workload], seconds });
  await backlog.close?.();
}

async function latency(one) {
  for (let i = 0; i < WARM_UP_SAMPLES; i++) await one(i);
  const latencies_ms = [];
  await say('begin');
  const begun = performance.now();
  for (let i = 0; i < options.samples; i++) {
    const started = performance.now();
    await one(WARM_UP_SAMPLES + i);
    latencies_ms.push(performance.now() - started);
  }
  const seconds = (performance.now() - begun) / 1000;
  await say('end', { steps: options.samples, seconds, latencies_ms });
}

/**
 * Runs the workload that run.py asked for. `peer` has
 * chain4(count), fanout(count): lay a backlog down and return { drain, close }. drain() lets the worker loose and
 * returns when the last result is recorded, close() stops it again;
 * latency(): starts the worker and returns one(i), which submits a single step and returns when it is complete;
 * stop(): ends everything.
 */
export async function main(peer) {
  if (options.workload === 'latency') await latency(await peer.latency());
  else await throughput(peer[options.workload]);
  await peer.stop?.();
  process.exit(0);
}
