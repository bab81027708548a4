/**
 * What to send next: a pure decision from what the chain and the outbox say now, remade from nothing at every turn.
 *
 * The open batches, in order, belong on the nonces from the first unused one on, without gaps. Whatever happened before (a stranger
 * used the key, a transaction was dropped, a reorganisation, a crash, another submitter), that assignment is computed anew, and
 * each slot is brought to it:
 * - a transaction of the slot's batch stands there: leave it, send the same bytes again, or replace it with a better paid one;
 * - another batch's transaction stands there, or one of the same id's content before a reseal: replace it;
 * - nothing stands there: sign one.
 *
 * Safe at any answer: the vault takes batch ids in order and once, so a superfluous transaction can revert, never settle twice.
 */
import { bumpFees, doubleFees, type Fees, isIncludable, maxFees } from './fees.ts';
import type { BatchKey, OutboxTransaction } from './outbox.ts';

export type PlanInput = {
  readonly nowMs: number;
  /** First nonce of the sender not used in the canonical chain, at the same block as the batches below. */
  readonly txNonce: number;
  /** What is to be settled after that block, in order: one content per id, ascending from the vault's last id + 1. */
  readonly batches: readonly BatchKey[];
  /** Persisted transactions of the sender with that nonce or a higher one. */
  readonly transactions: readonly OutboxTransaction[];
  /** Hashes that the node has in its pool. */
  readonly inPool: ReadonlySet<string>;
  readonly baseFee: bigint;
  readonly suggested: Fees;
  /** Most per gas that may be offered. */
  readonly feeMax: bigint;
  /** Most gas that a transaction may ask for, by the limits of blocks and of transactions. */
  readonly gasMax: bigint;
  /** Most transactions under way. */
  readonly inFlightMax: number;
  /** A transaction that waits this long is replaced. */
  readonly bumpAfterMs: number;
};

export type SignReason = 'first' | 'slot_taken' | 'underpriced' | 'too_slow' | 'unincludable';

export type PlannedAction =
  | {
      readonly kind: 'sign';
      readonly batch: BatchKey;
      readonly txNonce: number;
      readonly fees: Fees;
      readonly why: SignReason;
    }
  | { readonly kind: 'resend'; readonly transaction: OutboxTransaction }
  | {
      readonly kind: 'wait';
      readonly batch: BatchKey;
      readonly txNonce: number;
      readonly why: 'pending' | 'fee_cap';
    };

/** One action per slot, in nonce order. */
export function planTransactions(input: PlanInput): PlannedAction[] {
  return input.batches.slice(0, input.inFlightMax).map((batch, index) => planSlot(input, batch, input.txNonce + index));
}

function planSlot(input: PlanInput, batch: BatchKey, txNonce: number): PlannedAction {
  const atNonce = input.transactions.filter((transaction) => transaction.txNonce === txNonce);
  const own = best(atNonce.filter((transaction) => isOf(transaction, batch)));
  const top = best(atNonce);
  const sign = (fees: Fees, why: SignReason): PlannedAction => {
    if (fees.maxFeePerGas <= input.feeMax && isIncludable(fees, input.baseFee))
      return { kind: 'sign', batch, txNonce, fees, why };
    return own === undefined || input.inPool.has(own.txHash)
      ? { kind: 'wait', batch, txNonce, why: 'fee_cap' }
      : { kind: 'resend', transaction: own };
  };
  if (top === undefined) return sign(input.suggested, 'first');
  const raised = maxFees(input.suggested, bumpFees(top.fees));
  // One that the pool has lost needs no raise; should another node have kept it, its refusal says so and the raise follows.
  if (own === undefined || own !== top)
    return sign(input.inPool.has(top.txHash) ? raised : input.suggested, 'slot_taken');

  // The same bytes come first: only what is known to be in the pool, and is not taken from there, needs a better offer.
  const known = input.inPool.has(own.txHash);
  if (!known && isUnderpriced(own.lastError))
    return sign(maxFees(input.suggested, doubleFees(own.fees)), 'underpriced');
  // Blocks have become smaller since it was signed: no node takes it, and no block.
  if (own.gasLimit > input.gasMax) return sign(known ? raised : input.suggested, 'unincludable');
  const waited = input.nowMs - own.createdAtMs >= input.bumpAfterMs;
  if (!isIncludable(own.fees, input.baseFee)) {
    const better = input.suggested.maxFeePerGas >= bumpFees(own.fees).maxFeePerGas;
    if (waited || better) return sign(known ? raised : input.suggested, 'unincludable');
  } else if (known && waited) {
    return sign(raised, 'too_slow');
  }
  return known ? { kind: 'wait', batch, txNonce, why: 'pending' } : { kind: 'resend', transaction: own };
}

const isOf = (transaction: BatchKey, batch: BatchKey): boolean =>
  transaction.batchId === batch.batchId && transaction.journalSequence === batch.journalSequence;

/** The one that pays most per gas: the only one of a nonce that a node keeps. */
function best(transactions: readonly OutboxTransaction[]): OutboxTransaction | undefined {
  let found: OutboxTransaction | undefined;
  for (const transaction of transactions) {
    if (found === undefined || transaction.fees.maxFeePerGas >= found.fees.maxFeePerGas) found = transaction;
  }
  return found;
}

/** Nodes' words for "another transaction of this nonce pays too much to be replaced by this one". */
function isUnderpriced(error: string | undefined): boolean {
  return error !== undefined && /underpriced|too low to replace|fee too low|replacement/i.test(error);
}
