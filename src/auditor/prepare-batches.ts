/**
 * The vault's events in groups that fit into memory, each with the batches that its events stand for: calls fetched, contents read, signers
 * being recovered. The next group is prepared while the caller judges the present one.
 */
import type { RpcPool } from '../chain/rpc-pool.ts';
import type { Address, Hash } from '../domain/units.ts';
import type { RecoveredSigners } from './order-signers.ts';
import { type ChainEvent, readEvents, readSettleCalls, type SettleCall } from './read-chain.ts';
import { type Content, readContent } from './read-content.ts';
import type { VaultModel } from './vault-model.ts';

/** What stands behind a batch event; a sentence instead of what could not be read. */
export type PreparedBatch =
  | { readonly call: string }
  | { readonly call: SettleCall; readonly content: Content | string };

export type PreparedGroup = {
  readonly events: readonly ChainEvent[];
  /** By transaction. */
  readonly batches: ReadonlyMap<Hash, PreparedBatch>;
  /** Every event up to this block has been handed out with this group. */
  readonly block: number;
};

export type PrepareOptions = {
  readonly pool: RpcPool;
  readonly vault: Address;
  readonly from: number;
  readonly to: number;
  readonly model: VaultModel;
  readonly signers: RecoveredSigners;
  /** Signatures of batches before this block are not looked at. */
  readonly trustedBefore: number;
};

/** Batches of one group: a hundred kilobytes each, twice that while they are read. */
const BATCHES_MAX = 16;

export function preparedGroups(options: PrepareOptions): AsyncGenerator<PreparedGroup> {
  return oneAhead(prepare(options));
}

async function* prepare(options: PrepareOptions): AsyncGenerator<PreparedGroup> {
  const { pool, vault, model, signers } = options;
  for await (const { events, block } of readEvents(pool, vault, options.from, options.to)) {
    const groups = groupsOf(events);
    for (const [index, group] of groups.entries()) {
      const settling = group.filter((event) => event.name === 'BatchSettled');
      const calls = await readSettleCalls(
        pool,
        vault,
        settling.map((event) => event.transaction),
      );
      const batches = new Map([...calls].map(([transaction, call]) => [transaction, prepareBatch(call)]));
      const orders = settling
        .filter(({ blockNumber }) => blockNumber >= options.trustedBefore)
        .flatMap(({ transaction }) => ordersOf(batches.get(transaction)));
      await signers.recoverAhead(model, orders);
      yield {
        events: group,
        batches,
        block: index === groups.length - 1 ? block : (group.at(-1)?.blockNumber ?? block),
      };
    }
  }
}

/** At least one group, so that progress is seen where nothing happened. */
function groupsOf(events: readonly ChainEvent[]): ChainEvent[][] {
  const groups: ChainEvent[][] = [[]];
  let batches = 0;
  for (const event of events) {
    if (event.name === 'BatchSettled' && ++batches > BATCHES_MAX) {
      groups.push([]);
      batches = 1;
    }
    groups.at(-1)?.push(event);
  }
  return groups;
}

function prepareBatch(call: SettleCall | string): PreparedBatch {
  if (typeof call === 'string') return { call };
  try {
    return { call, content: readContent(Buffer.from(call.content.slice(2), 'hex')) };
  } catch (error) {
    return { call, content: String(error) };
  }
}

function ordersOf(batch: PreparedBatch | undefined): Content['orders'] {
  return batch !== undefined && 'content' in batch && typeof batch.content !== 'string' ? batch.content.orders : [];
}

/** The same values, each asked for before the one before it is handed out. */
async function* oneAhead<T>(source: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  let next = source.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done === true) return;
      next = source.next();
      // Whoever asks for it hears of its failure.
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await source.return();
  }
}
