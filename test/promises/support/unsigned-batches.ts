/** The bytes of a sealed batch with signatures that are the same everywhere: what determinism has to give again. */
import { contentHash, contentOfSealedBatch, encodeBatchContent } from '../../../src/chain/batch-codec.ts';
import type { SealedBatch } from '../../../src/domain/batches.ts';
import type { AppliedCommand } from '../../../src/domain/events.ts';

/** Of markets between assets 0 and 1. */
export function unsignedContent(batch: SealedBatch): Uint8Array {
  const content = contentOfSealedBatch(batch, {
    market: () => ({ baseAsset: 0, quoteAsset: 1 }),
    orderSignature: () => `0x${'5a'.repeat(64)}`,
    withdrawalSignature: () => `0x${'a5'.repeat(64)}`,
  });
  return encodeBatchContent(content);
}

/** One line per batch sealed by these commands: everything that the engine would sign. */
export function unsignedBatches(applied: Iterable<AppliedCommand>): string[] {
  const lines: string[] = [];
  for (const { events } of applied) {
    for (const event of events) {
      if (event.kind !== 'batchSealed') continue;
      const { batchId, epoch, journalSequence } = event.batch;
      lines.push(`${batchId} ${epoch} ${journalSequence} ${contentHash(unsignedContent(event.batch))}`);
    }
  }
  return lines;
}
