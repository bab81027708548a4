/**
 * Backfill in ranges that fit the node and the database: a range shrinks when the node finds it too large or it holds very many events, and
 * grows while it is small. While one range is checked and stored, the next ones are being fetched.
 *
 * Fetching ahead is a guess: it is used only when the followed chain ends exactly where the guess begins and the same node is asked, and
 * its failures count for nothing. What a range says is checked against the chain below only when its turn comes, so ranges are stored in order.
 */
import { type RpcEndpoint, rpcFailureReason } from '../chain/rpc-pool.ts';
import type { VaultReader } from '../chain/vault-reader.ts';
import type { ChainTip, FollowedBlock } from './chain-steps.ts';
import { blocksOfRange, type FetchedRange, fetchRange } from './read-blocks.ts';

const RANGE_BLOCKS_FIRST = 100;
/** Events of one range beyond which the next one shrinks: a step is one transaction and should fit comfortably in memory. */
const RANGE_EVENTS_TARGET = 20_000;
/** Ranges on their way at once, the one that is waited for included. */
const RANGES_FETCHED_MAX = 3;

export type Backfill = {
  /** Blocks with events after `tip`, and the last block of the range, at most `finalHeight`. @throws as `fetchRange` and `blocksOfRange` do */
  readonly next: (endpoint: RpcEndpoint, tip: ChainTip, finalHeight: number) => Promise<FollowedBlock[]>;
};

/** A range (after, to] on its way; undefined when it could not be fetched. */
type Guess = {
  readonly endpoint: RpcEndpoint;
  readonly after: number;
  readonly to: number;
  readonly range: Promise<FetchedRange | undefined>;
};

export function createBackfill(reader: VaultReader, rangeBlocksMax: number): Backfill {
  let rangeBlocks = Math.min(RANGE_BLOCKS_FIRST, rangeBlocksMax);
  let guesses: readonly Guess[] = [];

  const fetchNow = async (endpoint: RpcEndpoint, after: number, finalHeight: number): Promise<FetchedRange> => {
    for (;;) {
      try {
        return await fetchRange(endpoint, reader, after, Math.min(finalHeight, after + rangeBlocks));
      } catch (error) {
        const reason = rpcFailureReason(error);
        if (rangeBlocks === 1 || (reason !== 'range_too_large' && reason !== 'transport')) throw error;
        rangeBlocks = Math.floor(rangeBlocks / 2);
        // A time-out may mean that the answer was too large, or that the node is down: the caller's pool decides who is asked next.
        if (reason === 'transport') throw error;
      }
    }
  };

  /** The guesses that begin at `after`, with more behind them as far as there are final blocks. */
  const guessAhead = (endpoint: RpcEndpoint, after: number, finalHeight: number): readonly Guess[] => {
    const fits = guesses[0]?.endpoint === endpoint && guesses[0].after === after;
    const ahead = fits ? [...guesses] : [];
    for (let from = ahead.at(-1)?.to ?? after; ahead.length < RANGES_FETCHED_MAX && from < finalHeight; ) {
      const to = Math.min(finalHeight, from + rangeBlocks);
      ahead.push({
        endpoint,
        after: from,
        to,
        range: fetchRange(endpoint, reader, from, to).catch(() => undefined),
      });
      from = to;
    }
    return ahead;
  };

  const adapt = (logCount: number): void => {
    const factor = logCount > RANGE_EVENTS_TARGET ? 0.5 : logCount < RANGE_EVENTS_TARGET / 4 ? 2 : 1;
    rangeBlocks = Math.max(1, Math.min(rangeBlocksMax, Math.floor(rangeBlocks * factor)));
  };

  return {
    next: async (endpoint, tip, finalHeight) => {
      const [first, ...later] = guessAhead(endpoint, tip.number, finalHeight);
      guesses = [];
      let range = await first?.range;
      // What was guessed behind a range that failed, or was cut shorter, does not fit any more.
      if (range === undefined) range = await fetchNow(endpoint, tip.number, finalHeight);
      else guesses = later;
      const blocks = blocksOfRange(reader, tip, range);
      adapt(range.logCount);
      return blocks;
    },
  };
}
