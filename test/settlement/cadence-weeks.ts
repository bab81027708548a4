/** Synthetic weeks of base fees, and what settling through them costs by the sealing policy and at a fixed interval. */
import { decideSeal, type SealSettings } from '../../src/settlement/seal-policy.ts';

const STEP_MS = 60_000;
const MINUTES_A_DAY = 1_440;
const GAS_PER_BATCH = 80_000;
const GAS_PER_TRADE = 29_000;
const SEEDS = [7, 8, 9, 10];

const SETTINGS: SealSettings = {
  tradesMax: 10_000,
  withdrawalsMax: 50,
  tradeAgeMaxMs: 3_600_000,
  withdrawalAgeMaxMs: 30_000,
  ageMinMs: 150_000,
};

/** What moves the base fee; gwei for each minute are made from it and a seed. */
type Week = { readonly waveFromDay: number; readonly spikesPerMinute: number };

export const WEEKS = {
  calm: { waveFromDay: 7, spikesPerMinute: 0 },
  'daily waves': { waveFromDay: 0, spikesPerMinute: 0 },
  spikes: { waveFromDay: 7, spikesPerMinute: 0.0014 },
  'a week of all three': { waveFromDay: 2, spikesPerMinute: 0.0007 },
} as const satisfies Record<string, Week>;

export type CadenceResult = {
  /** Gas times base fee, in wei. */
  readonly cost: number;
  readonly trades: number;
  readonly batches: number;
  readonly worstDelayMs: number;
};

/** One trade a minute through several weeks of a kind, settled by the policy, and every hour. */
export function compareCadence(kind: Week): { readonly adaptive: CadenceResult; readonly fixed: CadenceResult } {
  const weeks = SEEDS.map((seed) => baseFees(kind, seed));
  return {
    adaptive: sum(weeks.map((week) => simulate(week, true))),
    fixed: sum(weeks.map((week) => simulate(week, false))),
  };
}

function baseFees({ waveFromDay, spikesPerMinute }: Week, seed: number): bigint[] {
  let state = seed;
  const random = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  let spike = 1;
  return Array.from({ length: 7 * MINUTES_A_DAY }, (_, minute) => {
    const isWaving = minute >= waveFromDay * MINUTES_A_DAY;
    const wave = isWaving ? 1 + 0.8 * Math.sin((2 * Math.PI * minute) / MINUTES_A_DAY) : 1;
    if (random() < spikesPerMinute) spike = 10 + 40 * random();
    spike = Math.max(1, spike * 0.98);
    return BigInt(Math.round((10 * wave * spike * (0.9 + 0.2 * random()) + 0.5) * 1e9));
  });
}

function simulate(fees: readonly bigint[], adaptive: boolean): CadenceResult {
  let [cost, trades, batches, waiting, worstDelayMs] = [0, 0, 0, 0, 0];
  let oldestMs: number | undefined;
  for (const [minute, fee] of fees.entries()) {
    const nowMs = minute * STEP_MS;
    waiting += 1;
    oldestMs ??= nowMs;
    const gas = adaptive ? { now: fee, recent: fees.slice(Math.max(0, minute - MINUTES_A_DAY), minute) } : undefined;
    const withdrawals = { pendingWithdrawals: 0, withdrawalsSinceMs: undefined };
    const facts = { nowMs, unsealedTrades: waiting, oldestUnsealedTimestampMs: oldestMs, ...withdrawals };
    if (decideSeal(facts, SETTINGS, gas).kind === 'wait') continue;
    cost += Number(fee) * (GAS_PER_BATCH + GAS_PER_TRADE * waiting);
    trades += waiting;
    batches += 1;
    worstDelayMs = Math.max(worstDelayMs, nowMs - oldestMs);
    waiting = 0;
    oldestMs = undefined;
  }
  return { cost, trades: trades + waiting, batches, worstDelayMs };
}

function sum(results: readonly CadenceResult[]): CadenceResult {
  const total = (of: (result: CadenceResult) => number): number => results.reduce((so, result) => so + of(result), 0);
  return {
    cost: total(({ cost }) => cost),
    trades: total(({ trades }) => trades),
    batches: total(({ batches }) => batches),
    worstDelayMs: Math.max(...results.map(({ worstDelayMs }) => worstDelayMs)),
  };
}
