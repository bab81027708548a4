import assert from 'node:assert/strict';
import { decideSeal, type GasPrices, type SealFacts, type SealSettings } from '../../src/settlement/seal-policy.ts';
import { compareCadence, WEEKS } from './cadence-weeks.ts';

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

  for (const [kind, atMost] of [
    ['calm', 0.98],
    ['daily waves', 0.98],
    ['spikes', 0.86],
    ['a week of all three', 0.92],
  ] as const) {
    it(`costs at most ${atMost} of a fixed interval with the same worst delay: ${kind}`, () => {
      const { adaptive, fixed } = compareCadence(WEEKS[kind]);
      assert.equal(adaptive.trades, fixed.trades);
      assert.ok(adaptive.worstDelayMs <= fixed.worstDelayMs, `${adaptive.worstDelayMs} > ${fixed.worstDelayMs}`);
      assert.ok(adaptive.cost < fixed.cost * atMost, `adaptive ${adaptive.cost} against fixed ${fixed.cost}`);
    }).timeout(30_000);
  }
});
