/**
 * Follows a chain by block hashes: what is the next step from here?
 *
 * Invariants:
 * 1. A step is derived from one node's answers that fit together by hash; anything else is a retryable failure and no step.
 * 2. A block step sits on the tip by parent hash. When the node's chain does not, the step is a reorg to the last common block.
 * 3. A block becomes final, by a final step or at the end of a backfilled range, only when the node's head descends from it and every other
 *    node that answers holds it too. A frozen node, and one that does not answer, has no voice.
 * 4. A chain that lacks the final block ends following with DEEP_REORG, once no node holds that block any more; a node of another
 *    genesis with CHAIN_MISMATCH. Both need a person: rows that were final, and what the engine did with them, cannot be taken back.
 *
 * Not here: storing, retrying, waiting. The follower keeps nothing but what helps the next range (see backfill.ts).
 */
import type { Finality } from '../chain/finality.ts';
import type { RpcEndpoint, RpcPool } from '../chain/rpc-pool.ts';
import type { VaultReader } from '../chain/vault-reader.ts';
import { ExchangeError } from '../domain/errors.ts';
import { createBackfill } from './backfill.ts';
import type { BlockRef, ChainStep, ChainTip, FollowedChain } from './chain-steps.ts';
import { tipOf } from './chain-steps.ts';
import { blockByNumber, type Header, inconsistent, parseHeader, readBlocks, readHeaders } from './read-blocks.ts';

export type FollowOptions = {
  readonly pool: RpcPool;
  readonly reader: VaultReader;
  readonly finality: Finality;
  /** Largest range of one backfill step, in blocks. */
  readonly rangeBlocksMax?: number;
};

export type FollowResult = {
  /** Undefined when there is nothing new. */
  readonly step: ChainStep | undefined;
  /** Height of the node's head. */
  readonly head: number;
};

export type Follower = {
  /**
   * @throws ExchangeError RPC_FAILED (retryable) when no node gives answers that fit together; DEEP_REORG, CHAIN_MISMATCH (halt).
   */
  readonly next: (chain: FollowedChain) => Promise<FollowResult>;
};

/** Further behind final blocks than this, whole ranges are read instead of single blocks. */
const LIVE_BLOCKS = 32;
/** Blocks of one live step: two batches of requests. */
const STEP_BLOCKS_MAX = 64;
const RANGE_BLOCKS_MAX = 10_000;

export function createFollower(options: FollowOptions): Follower {
  const { pool, reader } = options;
  const backfill = createBackfill(reader, options.rangeBlocksMax ?? RANGE_BLOCKS_MAX);

  const next = async (endpoint: RpcEndpoint, chain: FollowedChain): Promise<FollowResult> => {
    const tip = tipOf(chain);
    const [head, finalHeight] = await readHead(endpoint, options.finality);
    const result = (step: ChainStep | undefined): FollowResult => ({ step, head: head.number });
    if (head.number < chain.final.number) {
      throw inconsistent(`${endpoint.name} is at block ${head.number}, below the final block ${chain.final.number}`);
    }
    if (head.hash === tip.hash) return result(finalStep(chain, finalHeight));
    if (head.number <= tip.number) {
      const [same] = [chain.final, ...chain.recent].filter((block) => block.number === head.number);
      return result(same?.hash === head.hash ? undefined : await reorgStep(endpoint, chain));
    }
    if (finalHeight >= tip.number + LIVE_BLOCKS) {
      const [atTip] = await readHeaders(endpoint, [tip.number]);
      if (atTip?.hash !== tip.hash) return result(await reorgStep(endpoint, chain));
      if (chain.recent.length > 0) return result(finalStep(chain, finalHeight));
      return result({ kind: 'block', sparse: true, blocks: await backfill.next(endpoint, tip, finalHeight) });
    }
    const headers = await readLine(endpoint, tip, Math.min(head.number, tip.number + STEP_BLOCKS_MAX), head);
    if (headers[0]?.parentHash !== tip.hash) return result(await reorgStep(endpoint, chain));
    return result({ kind: 'block', sparse: false, blocks: await readBlocks(endpoint, reader, tip, headers) });
  };

  return {
    next: async (chain) => {
      try {
        const result = await pool.run((endpoint) => next(endpoint, chain));
        const final = finalBlockOf(result.step);
        if (final !== undefined) await requireAgreement(pool, final);
        return result;
      } catch (error) {
        if (!(error instanceof ExchangeError) || error.code !== 'DEEP_REORG') throw error;
        // One node may lie or have fallen to another fork: the chain is lost only when no node holds the final block.
        const holder = await findHolder(pool, chain.final);
        if (holder === undefined) throw error;
        throw inconsistent(
          `${holder} still holds the final block ${chain.final.number} that another node has replaced`,
        );
      }
    },
  };
}

/** Head, and the height up to which blocks are final below it; −1 when nothing is. */
async function readHead(endpoint: RpcEndpoint, finality: Finality): Promise<[Header, number]> {
  const calls = [blockByNumber('latest'), ...(finality.kind === 'tag' ? [blockByNumber(finality.tag)] : [])];
  const [head, tagged] = (await endpoint.batch(calls)).map(parseHeader);
  if (head === undefined) throw inconsistent(`${endpoint.name} has no latest block`);
  return [head, finality.kind === 'tag' ? (tagged?.number ?? -1) : head.number - finality.count];
}

/** The highest followed block up to `finalHeight`, unless it is final already. Call only when the tip is canonical. */
function finalStep(chain: FollowedChain, finalHeight: number): ChainStep | undefined {
  const block = chain.recent.findLast((recent) => recent.number <= finalHeight);
  return block === undefined ? undefined : { kind: 'final', block };
}

/** Headers (tip, to] of one line of descent. */
async function readLine(endpoint: RpcEndpoint, tip: ChainTip, to: number, head: Header): Promise<Header[]> {
  const numbers = Array.from({ length: to - tip.number }, (_, index) => tip.number + 1 + index);
  const headers = to === tip.number + 1 && to === head.number ? [head] : await readHeaders(endpoint, numbers);
  const line: Header[] = [];
  for (const header of headers) {
    const below = line.at(-1);
    if (header === undefined || (below !== undefined && header.parentHash !== below.hash)) {
      throw inconsistent(`the chain changed while blocks ${tip.number + 1} to ${to} were read`);
    }
    line.push(header);
  }
  return line;
}

/** @throws ExchangeError DEEP_REORG when the node's chain does not hold the final block. */
async function reorgStep(endpoint: RpcEndpoint, chain: FollowedChain): Promise<ChainStep> {
  const known = [chain.final, ...chain.recent];
  const headers = await readHeaders(
    endpoint,
    known.map((block) => block.number),
  );
  const common = known.findLastIndex((block, index) => headers[index]?.hash === block.hash);
  const to = known[common];
  if (to === undefined) {
    const expected = chain.final.hash;
    const got = headers[0]?.hash;
    if (got === undefined) throw inconsistent(`${endpoint.name} does not have the final block ${chain.final.number}`);
    throw new ExchangeError(
      'DEEP_REORG',
      `block ${chain.final.number} was final as ${expected}, but ${endpoint.name} now has ${got}`,
      {
        details: { block: chain.final.number, expected, got, node: endpoint.name },
      },
    );
  }
  if (common === known.length - 1) throw inconsistent('the chain changed and changed back while it was read');
  return { kind: 'reorg', to, depth: known.length - 1 - common };
}

/** The block that a step makes final. */
function finalBlockOf(step: ChainStep | undefined): BlockRef | undefined {
  if (step?.kind === 'final') return step.block;
  return step?.kind === 'block' && step.sparse ? step.blocks.at(-1) : undefined;
}

/**
 * Asks the other nodes too. Blocks that are final at one node are known to all that are well, so that one without it says as much as one
 * with another: somebody could have made blocks up on top of the chain that the others have.
 */
async function requireAgreement(pool: RpcPool, block: BlockRef): Promise<void> {
  if (pool.endpoints.length < 2) return;
  const answers = await hashesAt(pool, block.number);
  const dissent = answers.find(({ hash }) => hash !== undefined && hash !== block.hash);
  if (dissent !== undefined) {
    const has = dissent.hash === null ? 'missing' : dissent.hash;
    throw inconsistent(
      `block ${block.number} is ${block.hash} at one node and ${has} at ${dissent.name}; not final yet`,
    );
  }
}

async function findHolder(pool: RpcPool, block: BlockRef): Promise<string | undefined> {
  const answers = await hashesAt(pool, block.number);
  return answers.find(({ hash }) => hash === block.hash)?.name;
}

/** Null where the node has no such block; undefined where it has no voice. */
async function hashesAt(pool: RpcPool, number: number): Promise<{ name: string; hash: string | null | undefined }[]> {
  const health = pool.health();
  const answers = pool.endpoints.map(async (endpoint, index) => {
    const headers = await readHeaders(endpoint, [number]).catch(() => undefined);
    const hash = headers === undefined ? undefined : (headers[0]?.hash ?? null);
    return { name: endpoint.name, hash: hash === null && health[index]?.frozen === true ? undefined : hash };
  });
  return Promise.all(answers);
}
