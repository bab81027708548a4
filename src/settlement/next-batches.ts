/**
 * What the vault can take next. Each batch names its parent, so that of all contents in the outbox those count that follow from the batch
 * that the vault settled last; of several the newest, which a reseal made to land where an earlier one could not. When the vault
 * has settled an earlier one after all, or a reorganisation takes that back, what follows is found from there in the same way.
 */
import type { Hash } from '../domain/units.ts';
import type { OutboxBatch } from './outbox.ts';

/** From the batch after `last` on, gapless; ends where nothing is published that follows. */
export function batchesAfter(
  open: readonly OutboxBatch[],
  last: { readonly batchId: number; readonly batchHash: Hash },
): OutboxBatch[] {
  const contents = Map.groupBy(open, (batch) => batch.batchId);
  const batches: OutboxBatch[] = [];
  let { batchId, batchHash } = last;
  for (;;) {
    const parentHash = batchHash;
    const next = newest((contents.get(batchId + 1) ?? []).filter((batch) => batch.parentHash === parentHash));
    if (next === undefined) return batches;
    batches.push(next);
    ({ batchId, batchHash } = next);
  }
}

function newest(batches: readonly OutboxBatch[]): OutboxBatch | undefined {
  let found: OutboxBatch | undefined;
  for (const batch of batches) if (found === undefined || batch.journalSequence > found.journalSequence) found = batch;
  return found;
}
