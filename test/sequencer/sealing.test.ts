import assert from 'node:assert/strict';
import { type SealFacts, sealByCountAndAge } from '../../src/offchain-engine/sequencer/sealing.ts';

const policy = sealByCountAndAge({
  tradesMin: 10,
  tradeAgeMs: 1_000,
  withdrawalAgeMs: 3_000,
  tradesMax: 50,
  withdrawalsMax: 5,
});
const SEAL = { kind: 'seal', tradesMax: 50, withdrawalsMax: 5 };
const QUIET: SealFacts = {
  nowMs: 100_000,
  unsealedTrades: 0,
  oldestUnsealedTimestampMs: undefined,
  pendingWithdrawals: 0,
  withdrawalsSinceMs: undefined,
  lastSealMs: undefined,
};

describe('sealing by count and age', () => {
  const cases: readonly (readonly [string, Partial<SealFacts>, object])[] = [
    ['waits for nothing when nothing is there', {}, { kind: 'wait', untilMs: undefined }],
    ['seals at the count', { unsealedTrades: 10, oldestUnsealedTimestampMs: 99_999 }, SEAL],
    [
      'waits below it until the oldest trade is due',
      { unsealedTrades: 9, oldestUnsealedTimestampMs: 99_500 },
      { kind: 'wait', untilMs: 100_500 },
    ],
    ['seals when the oldest trade is due', { unsealedTrades: 1, oldestUnsealedTimestampMs: 99_000 }, SEAL],
    [
      'waits for withdrawals',
      { pendingWithdrawals: 1, withdrawalsSinceMs: 98_000 },
      { kind: 'wait', untilMs: 101_000 },
    ],
    ['seals when a withdrawal is due', { pendingWithdrawals: 1, withdrawalsSinceMs: 97_000 }, SEAL],
    ['seals when withdrawals fill a batch', { pendingWithdrawals: 5, withdrawalsSinceMs: 100_000 }, SEAL],
  ];
  for (const [name, facts, decision] of cases) {
    it(name, () => assert.deepEqual(policy({ ...QUIET, ...facts }), decision));
  }
});
