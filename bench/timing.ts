/** Times runners on flows: throughput in pieces, latencies one operation at a time. */
import type { Flow } from './flow.ts';
import type { Runner } from './runners.ts';

export type Latencies = { p50Ns: number; p99Ns: number; p999Ns: number };

/** @throws Error when the trades are not the oracle's. */
export function check(name: string, { expected }: Flow, runner: Runner): void {
  const { trades, volume, hash } = runner.outcome();
  // A file's header holds the low word of the volume only.
  const sameVolume = volume === undefined || volume === expected.volume || volume >>> 0 === expected.volume;
  if (trades !== expected.trades || !sameVolume || (hash !== undefined && hash !== expected.hash)) {
    throw new Error(
      `${name} gave ${trades} trades, volume ${volume}, hash ${hash?.toString(16)}; expected ${JSON.stringify(expected)}`,
    );
  }
}

const PIECE = 200;

/** Time per piece of a flow, the best of the rounds. */
export class Timing {
  readonly #name: string;
  readonly #flow: Flow;
  readonly #make: () => Runner;
  readonly #bestMs: Float64Array;

  constructor(name: string, flow: Flow, make: () => Runner) {
    this.#name = name;
    this.#flow = flow;
    this.#make = make;
    this.#bestMs = new Float64Array(Math.ceil((flow.count - flow.prefill) / PIECE)).fill(Number.POSITIVE_INFINITY);
  }

  /** Operations per second after the prefill. */
  get opsPerSec(): number {
    return ((this.#flow.count - this.#flow.prefill) * 1_000) / this.#bestMs.reduce((sum, ms) => sum + ms, 0);
  }

  round(): void {
    const { count, prefill } = this.#flow;
    const runner = this.#make();
    play(runner, 0, prefill);
    for (const [piece, bestMs] of this.#bestMs.entries()) {
      const from = prefill + piece * PIECE;
      this.#bestMs[piece] = Math.min(bestMs, play(runner, from, Math.min(from + PIECE, count)));
    }
    check(this.#name, this.#flow, runner);
  }
}

/** Plays records in pieces. @returns milliseconds, preparation left out */
export function play(runner: Runner, from: number, to: number): number {
  let spentMs = 0;
  for (let start = from; start < to; start += PIECE) {
    const end = Math.min(start + PIECE, to);
    runner.prepare(start, end);
    const startMs = performance.now();
    runner.play(start, end);
    spentMs += performance.now() - startMs;
  }
  return spentMs;
}

export function latencies(flow: Flow, runner: Runner): Latencies {
  play(runner, 0, flow.prefill);
  const timed = flow.count - flow.prefill;
  const nanos = new Float64Array(timed);
  for (let index = 0; index < timed; index++) {
    const at = flow.prefill + index;
    if (index % PIECE === 0) runner.prepare(at, Math.min(at + PIECE, flow.count));
    const startMs = performance.now();
    runner.play(at, at + 1);
    nanos[index] = (performance.now() - startMs) * 1e6;
  }
  // The first tenth warms up.
  const sorted = nanos.subarray(Math.floor(timed / 10)).sort();
  const quantile = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!);
  return { p50Ns: quantile(0.5), p99Ns: quantile(0.99), p999Ns: quantile(0.999) };
}
