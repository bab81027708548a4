/**
 * How fast orders match: the bare book, the full engine (accounts, locks, fees, lanes, expiries, self-trade prevention,
 * batches) and nodejs-order-book, on the same seeded flows in one run, with the trades of all three compared with an
 * independent oracle's.
 *
 *   npm run bench:engine -- [--json] [--flow FILE] [--ops N] [--rounds N]
 *   npm run bench:engine -- --flat [--json] [--ops N]     one long run of the engine, 10 million operations unless told
 *
 * A flow is timed in pieces of 200 operations, each the best of the rounds, and their sum counts: on a machine that does
 * other things too, all three are then measured while nobody interrupted them. What each is handed (records as decoding a
 * journal row gives them, the other's order objects) is made between the pieces. Latencies come from a pass of their own that times each
 * operation, the clock's own cost included (`clockNs`); what interrupts that pass is in its p99.9. The engine is timed
 * on records, as a replay applies them; decoding rows is part of bench:recovery. A leader takes command objects and makes event
 * objects of what happened: that is `withEvents`. Growth compares flows of one shape, 1,000 and 1,000,000 orders resting on
 * the same price levels with the same 2,000 accounts. With --json the last line is one JSON object.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { EngineRunner, handOutLanes, type Lanes } from './engine-runner.ts';
import { type Flow, type FlowShape, generateFlow, readFlow } from './flow.ts';
import { BookRunner, PeerRunner, type Runner } from './runners.ts';
import { check, type Latencies, latencies, play, Timing } from './timing.ts';

type Speed = Latencies & { opsPerSec: number };
type EngineSpeed = Speed & { withEventsOpsPerSec: number };
type FlowResult = {
  tradeHash: string;
  trades: number;
  book: Speed;
  engine: EngineSpeed;
  nodejsOrderBook: Speed;
  bookRatio: number;
  engineRatio: number;
};

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    flow: { type: 'string' },
    flat: { type: 'boolean', default: false },
    ops: { type: 'string' },
    rounds: { type: 'string', default: '3' },
  },
});
const ops = count(options.ops ?? (options.flat ? '10000000' : '1000000'), 'ops');
const rounds = count(options.rounds, 'rounds');

const SHAPES = {
  steady: { ops, seed: 42, target: 1_000, prefill: 1_000, pgeo: 0.1, pmove: 0.02 },
  deep: { ops, seed: 42, target: 100_000, prefill: 100_000, pgeo: 0.002, pmove: 0.1 },
  /** The middle moves 50 ticks at every second operation: the ladder has to follow. */
  moving: { ops, seed: 42, target: 1_000, prefill: 1_000, pgeo: 0.05, pmove: 0.5, step: 50 },
} satisfies Record<string, FlowShape>;

const gcPauses: { startMs: number; durationMs: number }[] = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) gcPauses.push({ startMs: entry.startTime, durationMs: entry.duration });
}).observe({ entryTypes: ['gc'] });

await main();

async function main(): Promise<void> {
  const result: Record<string, unknown> = {};
  const pauses: number[] = [];
  if (options.flat) {
    Object.assign(result, { flat: await flat(generateFlow(SHAPES.steady), pauses) });
  } else if (options.flow !== undefined) {
    result['flow'] = await measure(options.flow, readFlow(options.flow), pauses);
  } else {
    for (const [name, shape] of Object.entries(SHAPES)) result[name] = await measure(name, generateFlow(shape), pauses);
    Object.assign(result, await growth());
  }
  result['gcPauseMaxMs'] = round(Math.max(0, ...pauses), 2);
  result['clockNs'] = clockNs();
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function measure(name: string, flow: Flow, pauses: number[]): Promise<FlowResult> {
  const lanes = handOutLanes(flow);
  const timings = {
    book: new Timing('book', flow, () => new BookRunner(flow)),
    engine: new Timing('engine', flow, () => new EngineRunner(flow, lanes)),
    withEvents: new Timing('engine with events', flow, () => new EngineRunner(flow, lanes, true)),
    peer: new Timing('nodejs-order-book', flow, () => new PeerRunner(flow)),
  };
  for (let index = 0; index < rounds; index++) {
    timings.book.round();
    // What the others left behind is not the engine's garbage.
    await collectGarbage();
    const startMs = performance.now();
    timings.engine.round();
    await notePauses(startMs, pauses);
    // Slow, and steady enough to be timed twice.
    if (index >= 2) continue;
    timings.withEvents.round();
    timings.peer.round();
  }
  const rate = (timing: Timing): number => Math.round(timing.opsPerSec);
  const result: FlowResult = {
    tradeHash: flow.expected.hash.toString(16).padStart(8, '0'),
    trades: flow.expected.trades,
    book: { opsPerSec: rate(timings.book), ...latencies(flow, new BookRunner(flow)) },
    engine: {
      opsPerSec: rate(timings.engine),
      ...latencies(flow, new EngineRunner(flow, lanes)),
      withEventsOpsPerSec: rate(timings.withEvents),
    },
    nodejsOrderBook: { opsPerSec: rate(timings.peer), ...latencies(flow, new PeerRunner(flow)) },
    bookRatio: round(timings.book.opsPerSec / timings.peer.opsPerSec, 1),
    engineRatio: round(timings.engine.opsPerSec / timings.peer.opsPerSec, 1),
  };
  say(`${name}: ${result.trades} trades, hash ${result.tradeHash}`);
  for (const which of ['book', 'engine', 'nodejsOrderBook'] as const) {
    const { opsPerSec, p50Ns, p99Ns, p999Ns } = result[which];
    say(
      `  ${which.padEnd(16)} ${(opsPerSec / 1e6).toFixed(2).padStart(6)} M/s   p50 ${p50Ns} ns, p99 ${p99Ns} ns, p99.9 ${p999Ns} ns`,
    );
  }
  say(`  book ${result.bookRatio} ×, engine ${result.engineRatio} × nodejs-order-book`);
  return result;
}

/** Collects the garbage collector's pauses since `startMs`. */
async function notePauses(startMs: number, pauses: number[]): Promise<void> {
  const endMs = performance.now();
  // The observer hears of a pause some turns of the event loop later.
  await wait(50);
  for (const { startMs: at, durationMs } of gcPauses) if (at >= startMs && at <= endMs) pauses.push(durationMs);
  gcPauses.length = 0;
}

/** One long run of the engine: speed and memory after each tenth. */
async function flat(flow: Flow, pauses: number[]): Promise<object> {
  const runner = new EngineRunner(flow, handOutLanes(flow));
  play(runner, 0, flow.prefill);
  const opsPerSec: number[] = [];
  const heapMb: number[] = [];
  const tenth = Math.floor((flow.count - flow.prefill) / 10);
  for (let part = 0; part < 10; part++) {
    const from = flow.prefill + part * tenth;
    const to = part === 9 ? flow.count : from + tenth;
    const startMs = performance.now();
    opsPerSec.push(Math.round(((to - from) * 1_000) / play(runner, from, to)));
    await notePauses(startMs, pauses);
    heapMb.push(round((await memoryAfterCollection()) / 1e6, 1));
    gcPauses.length = 0;
    say(`${to - flow.prefill} operations: ${(opsPerSec.at(-1)! / 1e6).toFixed(2)} M/s, ${heapMb.at(-1)} MB held`);
  }
  check('engine', flow, runner);
  return { ops: flow.count - flow.prefill, opsPerSecByTenth: opsPerSec, heldMbByTenth: heapMb };
}

/** Cost per operation with a million resting orders over that with a thousand, same shape of flow; and bytes per order. */
async function growth(): Promise<{ bytesPerOrder: number; bookGrowth: number; engineGrowth: number }> {
  const sized = (resting: number): { flow: Flow; lanes: Lanes } => {
    const flow = generateFlow({ ops: 300_000, seed: 7, target: resting, prefill: resting, pgeo: 0.01, pmove: 0.02 });
    return { flow, lanes: handOutLanes(flow) };
  };
  const small = sized(1_000);
  const large = sized(1_000_000);
  const before = await memoryAfterCollection();
  const held = new EngineRunner(large.flow, large.lanes);
  play(held, 0, large.flow.prefill);
  held.prepare(0, 0);
  const bytes = (await memoryAfterCollection()) - before;
  const resting = held.engine.core.pool.used;
  const best = (make: () => Runner, flow: Flow): number => {
    const timing = new Timing('growth', flow, make);
    for (let index = 0; index < rounds; index++) timing.round();
    return timing.opsPerSec;
  };
  const bookGrowth =
    best(() => new BookRunner(small.flow), small.flow) / best(() => new BookRunner(large.flow), large.flow);
  const engineGrowth =
    best(() => new EngineRunner(small.flow, small.lanes), small.flow) /
    best(() => new EngineRunner(large.flow, large.lanes), large.flow);
  const result = {
    bytesPerOrder: Math.round(bytes / resting),
    bookGrowth: round(bookGrowth, 2),
    engineGrowth: round(engineGrowth, 2),
  };
  say(
    `growth from 1,000 to 1,000,000 resting orders: book ${result.bookGrowth} ×, engine ${result.engineGrowth} ×; ${result.bytesPerOrder} bytes per order`,
  );
  return result;
}

/** Bytes on the heap and in buffers once garbage is gone. */
async function memoryAfterCollection(): Promise<number> {
  await collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Buffers are freed a little after the objects that held them. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let times = 0; times < 3; times++) {
    collect();
    await nextTurn();
  }
}

/** Median cost of reading the clock twice. */
function clockNs(): number {
  const nanos = new Float64Array(100_000);
  for (let index = 0; index < nanos.length; index++) {
    const startMs = performance.now();
    nanos[index] = (performance.now() - startMs) * 1e6;
  }
  return Math.round(nanos.sort()[nanos.length >> 1]!);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function count(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} must be a whole number above zero, got '${text}'`);
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
