/** A sealed batch: what the engine decided, before signatures and storage pages are laid out for the chain. */
import type { Side, TimeInForce } from './orders.ts';
import type { Address, Hash, JournalSequence, Lots, Ppm, PriceTicks, Quanta, TimestampSeconds } from './units.ts';

/** Most trades in a batch, and so of one order's run. */
export const BATCH_TRADES_MAX = 100;
/** Most withdrawals in a batch. */
export const BATCH_WITHDRAWALS_MAX = 50;

/**
 * A batch must fit one transaction (16,777,216 gas) at the worst: every account and lane fresh, every withdrawal to a recipient that burns what
 * it is given. Measured on the vault: 119,000 a trade, 250,000 a withdrawal; a batch of 170 such trades, or of 100 with 50 withdrawals, does not fit.
 */
const BATCH_GAS_MAX = 14_000_000;
const GAS_FIXED = 500_000;
const GAS_PER_TRADE_MAX = 120_000;
const GAS_PER_WITHDRAWAL_MAX = 250_000;

/** Most withdrawals that still fit beside so many trades; at least one. */
export function withdrawalsBeside(trades: number): number {
  const gasLeft = BATCH_GAS_MAX - GAS_FIXED - trades * GAS_PER_TRADE_MAX;
  return Math.min(BATCH_WITHDRAWALS_MAX, Math.max(1, Math.floor(gasLeft / GAS_PER_WITHDRAWAL_MAX)));
}

export type BatchOrder = {
  readonly account: Address;
  readonly signer: Address;
  readonly market: number;
  readonly side: Side;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly sizeLots: Lots;
  readonly priceTicks: PriceTicks;
  readonly lane: number;
  readonly orderSequence: number;
  readonly expiry: TimestampSeconds;
  readonly maxFeePpm: Ppm;
  readonly digest: Hash;
  /** Where the journal holds the command that carries the signature. */
  readonly placedAt: JournalSequence;
};

/** One trade: two fills, at the maker order's limit price. */
export type BatchTrade = {
  readonly tradeId: number;
  /** Indices into the batch's orders. */
  readonly takerOrder: number;
  readonly makerOrder: number;
  readonly sizeLots: Lots;
  readonly takerFeePpm: Ppm;
  readonly makerFeePpm: Ppm;
};

export type BatchWithdrawal = {
  readonly account: Address;
  readonly asset: number;
  readonly amount: Quanta;
  readonly fee: Quanta;
  readonly maxFee: Quanta;
  readonly recipient: Address;
  /** Paid out unwrapped, in the chain's own currency. */
  readonly native: boolean;
  readonly lane: number;
  readonly withdrawalSequence: number;
  readonly expiry: TimestampSeconds;
  readonly digest: Hash;
  readonly requestedAt: JournalSequence;
};

export type SealedBatch = {
  readonly batchId: number;
  /** Epoch in which it was sealed. */
  readonly epoch: number;
  /** The seal's own command, the last of its journal row. */
  readonly journalSequence: JournalSequence;
  /** Strictly ascending by (account, lane, orderSequence). */
  readonly orders: readonly BatchOrder[];
  /** In engine order, across markets. */
  readonly trades: readonly BatchTrade[];
  /** In the order they were requested; executed after the trades. */
  readonly withdrawals: readonly BatchWithdrawal[];
};

/** Why the contract skipped a trade. The numbers are the reason bytes in the batch's event. */
export const SKIP_REASONS = {
  1: 'bad_signature',
  2: 'expired',
  3: 'cancelled',
  4: 'superseded',
  5: 'overfilled',
  6: 'mispriced',
  7: 'insufficient_balance',
  8: 'self_trade',
  9: 'post_only_taker',
  10: 'fee_too_high',
  11: 'fill_or_kill',
  12: 'invalid_order',
  13: 'market_closed',
  14: 'zero_size',
  15: 'session_key_invalid',
  16: 'not_registered',
  17: 'not_verified',
  18: 'immediate_maker',
  19: 'immediate_reused',
  20: 'market_mismatch',
  21: 'same_side',
} as const;
export type SkipReasonCode = keyof typeof SKIP_REASONS;
export type SkipReason = (typeof SKIP_REASONS)[SkipReasonCode];

/** What became of a withdrawal. The numbers are the reason bytes in the batch's event; 0 is success. */
export const WITHDRAWAL_OUTCOMES = {
  0: 'executed',
  1: 'bad_signature',
  2: 'unknown_asset',
  3: 'bad_amount',
  4: 'fee_too_high',
  5: 'expired',
  6: 'bad_sequence',
  7: 'nonce_used',
  8: 'bad_recipient',
  9: 'insufficient_balance',
  10: 'outflow_limit',
  11: 'transfer_failed',
} as const;
export type WithdrawalOutcomeCode = keyof typeof WITHDRAWAL_OUTCOMES;

/** Outcome of one withdrawal of a batch as the contract reported it. */
export type WithdrawalOutcome = {
  readonly index: number;
  readonly state: 'executed' | 'failed';
  /** A word of WITHDRAWAL_OUTCOMES. */
  readonly reason: string;
};
