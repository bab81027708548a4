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
  /** Every content of the ids that are not final now: see readOpenBatches. */
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
  const contents = Map.groupBy(open, (batch) => batch.batchId);
  for (const [batchId, [first]] of contents) {
    if (first?.state !== 'included' || batchId <= view.lastBatchId) continue;
    await recordReorganised(pool, lease, batchId);
    input.onStateChanged?.({ batchId, state: 'reorganised' });
    reorganised += 1;
  }
  const settledIds = [...contents.keys()].filter((batchId) => batchId <= view.lastBatchId);
  if (settledIds.length === 0)
    return { open: reorganised === 0 ? open : await readOpenBatches(pool), reorganised, trouble: undefined };

  const range = { fromBlock: lastFinal?.blockNumber ?? input.deploymentBlock, toBlock: view.head.number };
  const settled = await findSettled(input.endpoint, input.vault, settledIds, range);
  for (const [batchId, ofId] of contents) {
    const found = settled.get(batchId);
    if (found !== undefined) await recordSettled(input, ofId, found);
  }
  return { open: await readOpenBatches(pool), reorganised, trouble: undefined };
}

/** @param contents all that were ever published for the id: the one that landed is told by its hash, and may change with a reorganisation */
async function recordSettled(
  input: RecordInput,
  contents: readonly OutboxBatch[],
  settled: SettledBatch,
): Promise<void> {
  const before = contents[0];
  if (before === undefined) return;
  // Two of one id may have equal content under different parents; of these only the newest can land.
  const landed = contents.findLast((batch) => batch.contentHash === settled.contentHash);
  if (landed === undefined) await alarmOtherContent(input, contents, settled);
  const state = settled.blockNumber <= input.view.finalNumber ? 'final' : 'included';
  const unchanged = before.state === state && before.blockHash === settled.blockHash && before.gasUsed !== undefined;
  if (unchanged) return;
  const receipt = await readReceipt(input.endpoint, settled.txHash);
  const { batchId, journalSequence } = landed ?? { batchId: settled.batchId, journalSequence: undefined };
  await recordInclusion(input.pool, input.lease, { batchId, journalSequence }, settled, state, receipt?.gasUsed);
  if (before.state !== state) input.onStateChanged?.({ batchId, state });
}

/** Only the holder of the engine key can cause this: a content was settled that this engine never published. */
async function alarmOtherContent(
  input: RecordInput,
  contents: readonly OutboxBatch[],
  { batchId, contentHash, txHash }: SettledBatch,
): Promise<void> {
  await openIncident(input.pool, {
    kind: 'batch_other_content',
    summary: `Batch ${batchId} was settled with another content than the outbox holds.`,
    details: { batchId, expected: contents.map((batch) => batch.contentHash), settled: contentHash, txHash },
  });
}

async function alarmDeepReorg(input: RecordInput, batchId: number): Promise<void> {
  await openIncident(input.pool, {
    kind: 'deep_reorg',
    summary: `Batch ${batchId} was final, and the vault does not know it any more.`,
    details: { batchId, vaultBatchId: input.view.lastBatchId, head: input.view.head },
  });
}
