/** Writes what the chain shows into the outbox: inclusions, finality, and reorganisations that took a batch back. */
import type { Pool } from 'pg';
import type { RpcEndpoint } from '../chain/rpc-pool.ts';
import type { Address } from '../domain/units.ts';
import { openIncident } from '../storage/incidents.ts';
import { type ChainView, findSettled, readReceipt, type SettledBatch } from './chain-view.ts';
import type { Lease } from './lease.ts';
import { type OutboxBatch, readLastFinal, readOpenBatches, recordInclusion, recordReorganised } from './outbox.ts';

export type RecordInput = {
  readonly pool: Pool;
  readonly endpoint: RpcEndpoint;
  readonly lease: Lease;
  readonly view: ChainView;
  readonly vault: Address;
  readonly deploymentBlock: number;
  readonly onStateChanged?: (change: {
    readonly batchId: number;
    readonly state: 'included' | 'final' | 'reorganised';
  }) => void;
};

export type Recorded = {
  /** Batches that are not final now, ascending. */
  readonly open: readonly OutboxBatch[];
  readonly reorganised: number;
  /** Nothing may be sent: the node is behind, or the vault has forgotten a batch that was final and a person has to look. */
  readonly trouble: 'lagging_node' | 'deep_reorg' | undefined;
};

export async function recordChain(input: RecordInput): Promise<Recorded> {
  const { pool, view, lease } = input;
  const lastFinal = await readLastFinal(pool);
  const open = await readOpenBatches(pool);
  if (lastFinal !== undefined && lastFinal.batchId > view.lastBatchId) {
    // A node that has not come as far as the final block knows nothing; one that has, and has no batch there, tells of a deep reorganisation.
    if (view.head.number < lastFinal.blockNumber) return { open, reorganised: 0, trouble: 'lagging_node' };
    await alarmDeepReorg(input, lastFinal.batchId);
    return { open, reorganised: 0, trouble: 'deep_reorg' };
  }
  let reorganised = 0;
  for (const batch of open) {
    if (batch.state !== 'included' || batch.batchId <= view.lastBatchId) continue;
    await recordReorganised(pool, lease, batch.batchId);
    input.onStateChanged?.({ batchId: batch.batchId, state: 'reorganised' });
    reorganised += 1;
  }
  const settledIds = open.filter((batch) => batch.batchId <= view.lastBatchId).map((batch) => batch.batchId);
  if (settledIds.length === 0)
    return { open: reorganised === 0 ? open : await readOpenBatches(pool), reorganised, trouble: undefined };

  const range = { fromBlock: lastFinal?.blockNumber ?? input.deploymentBlock, toBlock: view.head.number };
  const settled = await findSettled(input.endpoint, input.vault, settledIds, range);
  for (const batch of open) {
    const found = settled.get(batch.batchId);
    if (found !== undefined) await recordSettled(input, batch, found);
  }
  return { open: await readOpenBatches(pool), reorganised, trouble: undefined };
}

async function recordSettled(input: RecordInput, batch: OutboxBatch, settled: SettledBatch): Promise<void> {
  if (settled.contentHash !== batch.contentHash) await alarmOtherContent(input, batch, settled);
  const state = settled.blockNumber <= input.view.finalNumber ? 'final' : 'included';
  const unchanged = batch.state === state && batch.blockHash === settled.blockHash && batch.gasUsed !== undefined;
  if (unchanged) return;
  const receipt = await readReceipt(input.endpoint, settled.txHash);
  await recordInclusion(input.pool, input.lease, batch.batchId, settled, state, receipt?.gasUsed);
  if (batch.state !== state) input.onStateChanged?.({ batchId: batch.batchId, state });
}

/** Only the holder of the engine key can cause this: a content was settled that this engine did not sign last. */
async function alarmOtherContent(input: RecordInput, batch: OutboxBatch, settled: SettledBatch): Promise<void> {
  await openIncident(input.pool, {
    kind: 'batch_other_content',
    summary: `Batch ${batch.batchId} was settled with another content than the outbox holds.`,
    details: {
      batchId: batch.batchId,
      expected: batch.contentHash,
      settled: settled.contentHash,
      txHash: settled.txHash,
    },
  });
}

async function alarmDeepReorg(input: RecordInput, batchId: number): Promise<void> {
  await openIncident(input.pool, {
    kind: 'deep_reorg',
    summary: `Batch ${batchId} was final, and the vault does not know it any more.`,
    details: { batchId, vaultBatchId: input.view.lastBatchId, head: input.view.head },
  });
}
