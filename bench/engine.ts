/**
 * How fast orders match: the bare book, the full engine (accounts, locks, fees, lanes, expiries, self-trade prevention,
 * events, batches) and nodejs-order-book, on the same seeded flows in one run, with the trades of all three compared with an
 * independent oracle's.
 *
 *   npm run bench:engine -- [--json] [--flow FILE] [--ops N] [--rounds N]
 *
 * Operations per second are the best of the rounds; latencies come from a pass of their own that times each operation, the
 * clock's own cost included (`clockNs`). With --json the last line is one JSON object.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Flow, type FlowShape, generateFlow, readFlow } from './flow.ts';
import { BookRunner, EngineRunner, handOutLanes, type Lanes, PeerRunner, type Runner } from './runners.ts';

type Speed = { opsPerSec: number; p50Ns: number; p99Ns: number; p999Ns: number };
type FlowResult = {
  tradeHash: string;
  trades: number;
  book: Speed;
  engine: Speed;
  nodejsOrderBook: Speed;
  bookRatio: number;
  engineRatio: number;
};

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    flow: { type: 'string' },
    ops: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
  },
});
const ops = count(options.ops, 'ops');
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
  if (options.flow !== undefined) {
    result['flow'] = await measure(options.flow, readFlow(options.flow), pauses);
  } else {
    for (const [name, shape] of Object.entries(SHAPES)) result[name] = await measure(name, generateFlow(shape), pauses);
    Object.assign(result, growth());
  }
  result['gcPauseMaxMs'] = round(Math.max(0, ...pauses), 2);
  result['clockNs'] = clockNs();
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function measure(name: string, flow: Flow, pauses: number[]): Promise<FlowResult> {
  const lanes = handOutLanes(flow);
  verify('engine', flow, new EngineRunner(flow, lanes, true));
  const speeds = { book: 0, engine: 0, peer: 0 };
  for (let index = 0; index < rounds; index++) {
    speeds.book = Math.max(speeds.book, throughput('book', flow, new BookRunner(flow)));
    const startMs = performance.now();
    speeds.engine = Math.max(speeds.engine, throughput('engine', flow, new EngineRunner(flow, lanes)));
    const endMs = performance.now();
    await nextTurn();
    for (const { startMs: at, durationMs } of gcPauses) if (at >= startMs && at <= endMs) pauses.push(durationMs);
    gcPauses.length = 0;
    // Slow, and steady enough to be timed once or twice.
    if (index < 2) speeds.peer = Math.max(speeds.peer, throughput('nodejs-order-book', flow, new PeerRunner(flow)));
  }
  const result: FlowResult = {
    tradeHash: flow.expected.hash.toString(16).padStart(8, '0'),
    trades: flow.expected.trades,
    book: speed(speeds.book, flow, new BookRunner(flow)),
    engine: speed(speeds.engine, flow, new EngineRunner(flow, lanes)),
    nodejsOrderBook: speed(speeds.peer, flow, new PeerRunner(flow)),
    bookRatio: round(speeds.book / speeds.peer, 1),
    engineRatio: round(speeds.engine / speeds.peer, 1),
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

/** @throws Error when the trades are not the oracle's. */
function verify(name: string, flow: Flow, runner: Runner): void {
  runner.play(0, flow.count);
  check(name, flow, runner);
}

function check(name: string, { expected }: Flow, runner: Runner): void {
  const { trades, volume, hash } = runner.outcome();
  // A file's header holds the low word of the volume only.
  const sameVolume = volume === expected.volume || volume >>> 0 === expected.volume;
  if (trades !== expected.trades || !sameVolume || (hash !== undefined && hash !== expected.hash)) {
    throw new Error(
      `${name} gave ${trades} trades, volume ${volume}, hash ${hash?.toString(16)}; expected ${JSON.stringify(expected)}`,
    );
  }
}

/** Operations per second after the prefill. */
function throughput(name: string, flow: Flow, runner: Runner): number {
  runner.play(0, flow.prefill);
  const startMs = performance.now();
  runner.play(flow.prefill, flow.count);
  const seconds = (performance.now() - startMs) / 1000;
  check(name, flow, runner);
  return Math.round((flow.count - flow.prefill) / seconds);
}

function speed(opsPerSec: number, flow: Flow, runner: Runner): Speed {
  runner.play(0, flow.prefill);
  const timed = flow.count - flow.prefill;
  const nanos = new Float64Array(timed);
  for (let index = 0; index < timed; index++) {
    const startMs = performance.now();
    runner.play(flow.prefill + index, flow.prefill + index + 1);
    nanos[index] = (performance.now() - startMs) * 1e6;
  }
  // The first tenth warms up.
  const sorted = nanos.subarray(Math.floor(timed / 10)).sort();
  const quantile = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!);
  return { opsPerSec, p50Ns: quantile(0.5), p99Ns: quantile(0.99), p999Ns: quantile(0.999) };
}

/** Cost per operation with a million resting orders over that with a thousand, same shape of flow; and bytes per order. */
function growth(): { bytesPerOrder: number; bookGrowth: number; engineGrowth: number } {
  const sized = (resting: number): { flow: Flow; lanes: Lanes } => {
    const flow = generateFlow({ ops: 300_000, seed: 7, target: resting, prefill: resting, pgeo: 0.01, pmove: 0.02 });
    return { flow, lanes: handOutLanes(flow) };
  };
  const small = sized(1_000);
  const large = sized(1_000_000);
  const best = (make: () => Runner, flow: Flow): number => {
    let opsPerSec = 0;
    for (let index = 0; index < rounds; index++) opsPerSec = Math.max(opsPerSec, throughput('growth', flow, make()));
    return opsPerSec;
  };
  const bookGrowth =
    best(() => new BookRunner(small.flow), small.flow) / best(() => new BookRunner(large.flow), large.flow);
  const engineGrowth =
    best(() => new EngineRunner(small.flow, small.lanes), small.flow) /
    best(() => new EngineRunner(large.flow, large.lanes), large.flow);
  const before = memoryAfterCollection();
  const held = new EngineRunner(large.flow, large.lanes);
  held.play(0, large.flow.prefill);
  const bytes = memoryAfterCollection() - before;
  const resting = held.engine.core.pool.used;
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
function memoryAfterCollection(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
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
