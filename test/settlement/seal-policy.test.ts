import assert from 'node:assert/strict';
import { decideSeal, type GasPrices, type SealFacts, type SealSettings } from '../../src/settlement/seal-policy.ts';

const settings: SealSettings = {
  tradesMax: 100,
  withdrawalsMax: 50,
  tradeAgeMaxMs: 60_000,
  withdrawalAgeMaxMs: 30_000,
  ageMinMs: 5_000,
};
const facts = (changes: Partial<SealFacts>): SealFacts => ({
  nowMs: 1_000_000,
  unsealedTrades: 0,
  oldestUnsealedTimestampMs: undefined,
  pendingWithdrawals: 0,
  withdrawalsSinceMs: undefined,
  ...changes,
});
const waiting = (ageMs: number, trades = 1): SealFacts =>
  facts({ unsealedTrades: trades, oldestUnsealedTimestampMs: 1_000_000 - ageMs });
const cheap: GasPrices = { now: 1n, recent: [2n, 3n, 4n] };
const dear: GasPrices = { now: 9n, recent: [2n, 3n, 4n] };

describe('the sealing policy', () => {
  it('waits without end while there is nothing to settle', () => {
    assert.deepEqual(decideSeal(facts({}), settings, cheap), { kind: 'wait', untilMs: undefined });
  });

  it('seals what is full, however dear gas is', () => {
    assert.equal(decideSeal(waiting(0, 100), settings, dear).kind, 'seal');
    assert.equal(
      decideSeal(facts({ pendingWithdrawals: 50, withdrawalsSinceMs: 1_000_000 }), settings, dear).kind,
      'seal',
    );
  });

  it('seals at the longest wait of a trade or of a withdrawal, however dear gas is', () => {
    assert.equal(decideSeal(waiting(60_000), settings, dear).kind, 'seal');
    const withdrawal = facts({ pendingWithdrawals: 1, withdrawalsSinceMs: 970_000 });
    assert.equal(decideSeal(withdrawal, settings, dear).kind, 'seal');
    assert.equal(decideSeal(waiting(59_999), settings, dear).kind, 'wait');
  });

  it('seals early when gas is cheap, but not before the shortest wait', () => {
    assert.deepEqual(decideSeal(waiting(4_000), settings, cheap), { kind: 'wait', untilMs: 1_001_000 });
    assert.equal(decideSeal(waiting(5_000), settings, cheap).kind, 'seal');
  });

  it('goes by age alone while the gas price is not known', () => {
    assert.deepEqual(decideSeal(waiting(5_000), settings, undefined), { kind: 'wait', untilMs: 1_055_000 });
  });

  it('costs less over synthetic weeks of base fees than a fixed interval with the same worst delay', () => {
    const slow: SealSettings = { ...settings, tradesMax: 10_000, tradeAgeMaxMs: 3_600_000, ageMinMs: 150_000 };
    let adaptiveCost = 0;
    let fixedCost = 0;
    for (const seed of [7, 8, 9, 10]) {
      const week = syntheticWeek(seed);
      const adaptive = simulate(week, slow, true);
      const fixed = simulate(week, slow, false);
      assert.equal(adaptive.trades, fixed.trades);
      assert.ok(adaptive.worstDelayMs <= fixed.worstDelayMs, `${adaptive.worstDelayMs} > ${fixed.worstDelayMs}`);
      adaptiveCost += adaptive.cost;
      fixedCost += fixed.cost;
    }
    assert.ok(adaptiveCost < fixedCost * 0.92, `adaptive ${adaptiveCost} against fixed ${fixedCost}`);
  }).timeout(20_000);
});

const STEP_MS = 60_000;
const GAS_PER_BATCH = 80_000;
const GAS_PER_TRADE = 29_000;

/** Base fee in gwei for each minute of a week: calm days, daily waves, a few spikes. */
function syntheticWeek(seed: number): number[] {
  let state = seed;
  const random = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  let spike = 1;
  return Array.from({ length: 7 * 24 * 60 }, (_, minute) => {
    const day = Math.floor(minute / 1440);
    const wave = day < 2 ? 1 : 1 + 0.8 * Math.sin((2 * Math.PI * minute) / 1440);
    if (random() < 0.0007) spike = 10 + 40 * random();
    spike = Math.max(1, spike * 0.98);
    return 10 * wave * spike * (0.9 + 0.2 * random()) + 0.5;
  });
}

function simulate(week: readonly number[], policy: SealSettings, adaptive: boolean) {
  const fees = week.map((fee) => BigInt(Math.round(fee * 1e9)));
  let cost = 0;
  let trades = 0;
  let waitingTrades = 0;
  let oldestMs: number | undefined;
  let worstDelayMs = 0;
  for (const [minute, fee] of week.entries()) {
    const nowMs = minute * STEP_MS;
    waitingTrades += 1;
    oldestMs ??= nowMs;
    const gas = adaptive
      ? { now: fees[minute] as bigint, recent: fees.slice(Math.max(0, minute - 1440), minute) }
      : undefined;
    const state = facts({ nowMs, unsealedTrades: waitingTrades, oldestUnsealedTimestampMs: oldestMs });
    if (decideSeal(state, policy, gas).kind === 'wait') continue;
    cost += fee * (GAS_PER_BATCH + GAS_PER_TRADE * waitingTrades);
    trades += waitingTrades;
    worstDelayMs = Math.max(worstDelayMs, nowMs - oldestMs);
    waitingTrades = 0;
    oldestMs = undefined;
  }
  return { cost, trades: trades + waitingTrades, worstDelayMs };
}
