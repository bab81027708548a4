/**
 * What following a chain consists of: a union of three steps, and the followed chain as a value.
 *
 * Invariants of a followed chain:
 * 1. `final` and `recent` are one line of descent: each recent block is the child of the one before, the first the child of `final`.
 * 2. Event sequences are gapless over the whole line: a block's events run from the `lastEventSequence` of the block before, plus one,
 *    to its own.
 * 3. `final` never goes back. A chain that does not hold it is not followed.
 *
 * Pure: no I/O. `follow-chain.ts` makes steps, `store-chain.ts` stores them, both go from state to state by `advance`.
 */
import type { ChainFact } from '../domain/commands.ts';
import type { Address, ChainEventSequence, Hash, TimestampSeconds } from '../domain/units.ts';

export type BlockRef = { readonly number: number; readonly hash: Hash };

/** A block and how far the vault's event numbering had come with it. */
export type ChainTip = BlockRef & { readonly lastEventSequence: ChainEventSequence };

/** One vault event at its place in the chain. */
export type VaultEvent = {
  readonly eventSequence: ChainEventSequence;
  readonly txHash: Hash;
  /** Position among all logs of the block. */
  readonly logIndex: number;
  readonly fact: ChainFact;
};

export type FollowedBlock = ChainTip & {
  readonly parentHash: Hash;
  readonly timestamp: TimestampSeconds;
  /** In event sequence order. */
  readonly events: readonly VaultEvent[];
};

export type ChainStep =
  /**
   * New blocks on top. With `sparse` false every block is there, each the child of the one before and the first the child of the tip. With
   * `sparse` true (backfill) they were final when read: only blocks with events and the last block of the range are listed, and nothing
   * recent was open when the range began; its end becomes `final` in the same step.
   */
  | { readonly kind: 'block'; readonly sparse: boolean; readonly blocks: readonly FollowedBlock[] }
  /** Recent blocks above `to` are not canonical any more. `to` is in the followed chain and at or above `final`. */
  | { readonly kind: 'reorg'; readonly to: ChainTip; readonly depth: number }
  /** `block` is in the followed chain, above the last final one, and was canonical at its head when finality reached it. */
  | { readonly kind: 'final'; readonly block: ChainTip };

export type FollowedChain = {
  readonly final: ChainTip;
  /** Blocks after `final`, ascending and gapless. */
  readonly recent: readonly ChainTip[];
};

export type ChainIdentity = {
  readonly chainId: number;
  readonly genesisHash: Hash;
  readonly vault: Address;
  readonly deploymentBlock: number;
  readonly deploymentBlockHash: Hash;
  /** Parent of the deployment block: following starts on top of it. */
  readonly deploymentParentHash: Hash;
  /** Time of the deployment block. */
  readonly deployedAt: TimestampSeconds;
};

/** Nothing followed yet: the chain just below the vault's deployment. */
export function chainBeforeDeployment(identity: ChainIdentity): FollowedChain {
  const final = {
    number: identity.deploymentBlock - 1,
    hash: identity.deploymentParentHash,
    lastEventSequence: 0 as ChainEventSequence,
  };
  return { final, recent: [] };
}

export function tipOf(chain: FollowedChain): ChainTip {
  return chain.recent.at(-1) ?? chain.final;
}

/** The chain after a step. @throws Error when the step breaks an invariant: that is a bug, never input. */
export function advance(chain: FollowedChain, step: ChainStep): FollowedChain {
  switch (step.kind) {
    case 'block':
      return addBlocks(chain, step);
    case 'reorg': {
      const kept = chain.recent.filter((block) => block.number <= step.to.number);
      const top = kept.at(-1) ?? chain.final;
      if (top.hash !== step.to.hash) throw new Error(`reorg to ${step.to.hash}, which is not in the followed chain`);
      return { final: chain.final, recent: kept };
    }
    case 'final': {
      const index = chain.recent.findIndex((block) => block.hash === step.block.hash);
      if (index < 0) throw new Error(`block ${step.block.number} cannot become final: it is not a recent one`);
      return { final: step.block, recent: chain.recent.slice(index + 1) };
    }
  }
}

function addBlocks(chain: FollowedChain, step: Extract<ChainStep, { kind: 'block' }>): FollowedChain {
  let tip = tipOf(chain);
  for (const block of step.blocks) {
    const linked = step.sparse
      ? block.number > tip.number
      : block.parentHash === tip.hash && block.number === tip.number + 1;
    if (!linked) throw new Error(`block ${block.number} does not follow block ${tip.number}`);
    if (tip.lastEventSequence + block.events.length !== block.lastEventSequence) {
      throw new Error(`block ${block.number} breaks the event sequence after ${tip.lastEventSequence}`);
    }
    tip = block;
  }
  const refs = step.blocks.map(({ number, hash, lastEventSequence }) => ({ number, hash, lastEventSequence }));
  if (!step.sparse) return { final: chain.final, recent: [...chain.recent, ...refs] };
  if (chain.recent.length > 0) throw new Error('a range was added while recent blocks were open');
  return { final: refs.at(-1) ?? chain.final, recent: [] };
}
