import assert from 'node:assert/strict';
import type { BatchKey, OutboxTransaction } from '../../src/settlement/outbox.ts';
import { type PlanInput, planTransactions } from '../../src/settlement/plan-transactions.ts';

let made = 0;
/** As first sealed. */
const batch = (batchId: number): BatchKey => ({ batchId, journalSequence: batchId * 10 });
const transaction = ({ batchId = 1, ...changes }: Partial<OutboxTransaction>): OutboxTransaction => ({
  txHash: `0x${(++made).toString(16).padStart(64, '0')}`,
  ...batch(batchId),
  txNonce: 7,
  raw: '0x02',
  fees: { maxFeePerGas: 100n, maxPriorityFeePerGas: 8n },
  gasLimit: 1_000_000n,
  createdAtMs: 0,
  lastSentAtMs: 0,
  sendCount: 1,
  lastError: undefined,
  ...changes,
});
const input = (changes: Partial<PlanInput>): PlanInput => ({
  nowMs: 1_000,
  txNonce: 7,
  batches: [batch(1)],
  transactions: [],
  inPool: new Set(),
  baseFee: 50n,
  suggested: { maxFeePerGas: 104n, maxPriorityFeePerGas: 4n },
  feeMax: 10_000n,
  gasMax: 16_000_000n,
  inFlightMax: 3,
  bumpAfterMs: 30_000,
  ...changes,
});
const known = (...transactions: OutboxTransaction[]): Set<string> => new Set(transactions.map(({ txHash }) => txHash));

describe('planning settlement transactions', () => {
  it('puts open batches in order on consecutive nonces, as many as may be under way', () => {
    const plan = planTransactions(input({ batches: [4, 5, 6, 7].map(batch) }));
    assert.deepEqual(
      plan.map((action) => action.kind === 'sign' && [action.batch.batchId, action.txNonce, action.why]),
      [
        [4, 7, 'first'],
        [5, 8, 'first'],
        [6, 9, 'first'],
      ],
    );
  });

  it('waits for what is in the pool and well paid', () => {
    const sent = transaction({});
    assert.deepEqual(planTransactions(input({ transactions: [sent], inPool: known(sent) })), [
      { kind: 'wait', batch: batch(1), txNonce: 7, why: 'pending' },
    ]);
  });

  it('sends the same bytes again when the pool has lost them, or they were persisted and never sent', () => {
    for (const lost of [transaction({}), transaction({ lastSentAtMs: undefined, sendCount: 0 })]) {
      assert.deepEqual(planTransactions(input({ transactions: [lost] })), [{ kind: 'resend', transaction: lost }]);
    }
  });

  it('replaces what waits too long by an eighth more on both fees', () => {
    const slow = transaction({});
    assert.deepEqual(planTransactions(input({ transactions: [slow], inPool: known(slow), nowMs: 30_000 })), [
      {
        kind: 'sign',
        batch: batch(1),
        txNonce: 7,
        fees: { maxFeePerGas: 113n, maxPriorityFeePerGas: 9n },
        why: 'too_slow',
      },
    ]);
  });

  it('replaces at once what a risen base fee shuts out', () => {
    const poor = transaction({});
    const spiked = { baseFee: 5_000n, suggested: { maxFeePerGas: 10_000n, maxPriorityFeePerGas: 4n } };
    const [inPool] = planTransactions(
      input({
        transactions: [poor],
        inPool: known(poor),
        ...spiked,
        suggested: { maxFeePerGas: 10_000n, maxPriorityFeePerGas: 9n },
      }),
    );
    assert.deepEqual(inPool, {
      kind: 'sign',
      batch: batch(1),
      txNonce: 7,
      fees: { maxFeePerGas: 10_000n, maxPriorityFeePerGas: 9n },
      why: 'unincludable',
    });
    // A tip below the raise is lifted to it once the transaction has waited.
    const [waited] = planTransactions(input({ transactions: [poor], inPool: known(poor), ...spiked, nowMs: 30_000 }));
    assert.deepEqual(waited, {
      kind: 'sign',
      batch: batch(1),
      txNonce: 7,
      fees: { maxFeePerGas: 10_000n, maxPriorityFeePerGas: 9n },
      why: 'unincludable',
    });
  });

  it('waits while the base fee is above the most that may be offered', () => {
    const plan = planTransactions(
      input({ baseFee: 20_000n, suggested: { maxFeePerGas: 10_000n, maxPriorityFeePerGas: 4n } }),
    );
    assert.deepEqual(plan, [{ kind: 'wait', batch: batch(1), txNonce: 7, why: 'fee_cap' }]);
  });

  it('moves a batch to the next nonce when a stranger used the key, replacing the batch that stood there', () => {
    const first = transaction({ txNonce: 6, batchId: 1 });
    const second = transaction({ txNonce: 7, batchId: 2 });
    const plan = planTransactions(
      input({ batches: [1, 2].map(batch), transactions: [second], inPool: known(first, second) }),
    );
    assert.deepEqual(plan, [
      {
        kind: 'sign',
        batch: batch(1),
        txNonce: 7,
        fees: { maxFeePerGas: 113n, maxPriorityFeePerGas: 9n },
        why: 'slot_taken',
      },
      {
        kind: 'sign',
        batch: batch(2),
        txNonce: 8,
        fees: { maxFeePerGas: 104n, maxPriorityFeePerGas: 4n },
        why: 'first',
      },
    ]);
  });

  it('replaces a transaction of the content that a reseal has replaced', () => {
    const before = transaction({ journalSequence: 10 });
    const resealed = { batchId: 1, journalSequence: 15 };
    assert.deepEqual(planTransactions(input({ batches: [resealed], transactions: [before], inPool: known(before) })), [
      {
        kind: 'sign',
        batch: resealed,
        txNonce: 7,
        fees: { maxFeePerGas: 113n, maxPriorityFeePerGas: 9n },
        why: 'slot_taken',
      },
    ]);
  });

  it('signs anew what asks for more gas than blocks have by now', () => {
    const large = transaction({ gasLimit: 1_000_000n });
    const [action] = planTransactions(input({ gasMax: 999_999n, transactions: [large] }));
    assert.ok(action?.kind === 'sign' && action.why === 'unincludable');
  });

  it('doubles its offer against an unknown transaction of the same nonce when nodes refuse as underpriced', () => {
    const refused = transaction({ lastError: 'node refused: replacement transaction underpriced' });
    assert.deepEqual(planTransactions(input({ transactions: [refused] })), [
      {
        kind: 'sign',
        batch: batch(1),
        txNonce: 7,
        fees: { maxFeePerGas: 200n, maxPriorityFeePerGas: 16n },
        why: 'underpriced',
      },
    ]);
  });

  it('goes on with the best paid of several transactions of a batch', () => {
    const old = transaction({});
    const replacement = transaction({ fees: { maxFeePerGas: 113n, maxPriorityFeePerGas: 9n }, createdAtMs: 500 });
    assert.deepEqual(planTransactions(input({ transactions: [replacement, old], inPool: known(old) })), [
      { kind: 'resend', transaction: replacement },
    ]);
  });
});
