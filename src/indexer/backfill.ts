/**
 * Backfill in ranges that fit the node and the database: a range shrinks when the node finds it too large or it holds very many events, and
 * grows while it is small. While one range is stored, the next is being read.
 *
 * Reading ahead is a guess: it is used only when the followed chain stands exactly where the guess began, and its failures count for nothing.
 */
import { type RpcEndpoint, rpcFailureReason } from '../chain/rpc-pool.ts';
import type { VaultReader } from '../chain/vault-reader.ts';
import type { ChainTip, FollowedBlock } from './chain-steps.ts';
import { readRange } from './read-blocks.ts';

const RANGE_BLOCKS_FIRST = 100;
/** Events of one range beyond which the next one shrinks: a step is one transaction and should fit comfortably in memory. */
const RANGE_EVENTS_TARGET = 20_000;

export type Backfill = {
  /** Blocks with events after `tip`, and the last block of the range, at most `finalHeight`. @throws as `readRange` does */
  readonly next: (endpoint: RpcEndpoint, tip: ChainTip, finalHeight: number) => Promise<FollowedBlock[]>;
};

export function createBackfill(reader: VaultReader, rangeBlocksMax: number): Backfill {
  let rangeBlocks = Math.min(RANGE_BLOCKS_FIRST, rangeBlocksMax);
  let ahead: { readonly tip: ChainTip; readonly blocks: Promise<FollowedBlock[] | undefined> } | undefined;

  const read = async (endpoint: RpcEndpoint, tip: ChainTip, finalHeight: number): Promise<FollowedBlock[]> => {
    for (;;) {
      try {
        return await readRange(endpoint, reader, tip, Math.min(finalHeight, tip.number + rangeBlocks));
      } catch (error) {
        const reason = rpcFailureReason(error);
        if (rangeBlocks === 1 || (reason !== 'range_too_large' && reason !== 'transport')) throw error;
        rangeBlocks = Math.floor(rangeBlocks / 2);
        // A time-out may mean that the answer was too large, or that the node is down: the caller's pool decides who is asked next.
        if (reason === 'transport') throw error;
      }
    }
  };

  const adapt = (blocks: readonly FollowedBlock[]): void => {
    const events = blocks.reduce((sum, block) => sum + block.events.length, 0);
    const factor = events > RANGE_EVENTS_TARGET ? 0.5 : events < RANGE_EVENTS_TARGET / 4 ? 2 : 1;
    rangeBlocks = Math.max(1, Math.min(rangeBlocksMax, Math.floor(rangeBlocks * factor)));
  };

  return {
    next: async (endpoint, tip, finalHeight) => {
      const guess = ahead?.tip.hash === tip.hash ? ahead.blocks : undefined;
      ahead = undefined;
      const blocks = (await guess) ?? (await read(endpoint, tip, finalHeight));
      adapt(blocks);
      const end = blocks.at(-1);
      if (end !== undefined && end.number < finalHeight) {
        ahead = { tip: end, blocks: read(endpoint, end, finalHeight).catch(() => undefined) };
      }
      return blocks;
    },
  };
}
