/** The submitter's wish that a batch which no transaction can hold be cut in two; the engine's process decides. */
import type { Pool } from 'pg';
import { requestReseal } from '../storage/operator-requests.ts';
import type { BatchToSettle } from './outbox.ts';

export type Asked = {
  readonly kind: 'stop';
  /** `batch_refused` once the engine has said that it cannot be cut: then people have to look. */
  readonly why: 'batch_too_large' | 'batch_refused';
  readonly detail: string;
};

/** Asks once for each content, however often it is called, and tells how that stands. */
export async function askForReseal(
  pool: Pool,
  { batch, gasMax }: { readonly batch: BatchToSettle; readonly gasMax: bigint },
): Promise<Asked> {
  const { batchId, journalSequence, tradeCount, withdrawalCount } = batch;
  const tooLarge = `batch ${batchId}, of ${tradeCount} trades and ${withdrawalCount} withdrawals, needs more than ${gasMax} gas`;
  const outcome = await requestReseal(pool, {
    command: {
      kind: 'resealBatch',
      batchId,
      sealedAt: journalSequence,
      tradesMax: halfOf(tradeCount),
      withdrawalsMax: halfOf(withdrawalCount),
      reason: tooLarge,
    },
    reason: tooLarge,
    requestedBy: 'settlement',
  });
  if (outcome === undefined || outcome === 'journaled')
    return { kind: 'stop', why: 'batch_too_large', detail: `${tooLarge}; a reseal is asked for` };
  return { kind: 'stop', why: 'batch_refused', detail: `${tooLarge}; its reseal was ${outcome}` };
}

/** At least one, which is the least that a reseal may allow. */
const halfOf = (count: number): number => Math.max(1, Math.ceil(count / 2));
