/**
 * When a batch is sealed: a trade-off between the gas a batch costs and the time its trades wait.
 *
 * Pure. A batch is due when it is full, when its oldest trade or withdrawal has waited as long as it may, or earlier when gas is cheap
 * now compared with the recent past: the longer something has waited, the less cheap it has to be. With a gas price that moves in
 * waves this settles in the troughs, at the same worst delay as a fixed interval.
 */
import { BATCH_TRADES_MAX, BATCH_WITHDRAWALS_MAX } from '../domain/batches.ts';

export type SealSettings = {
  /** A batch of so many trades is full. */
  readonly tradesMax: number;
  readonly withdrawalsMax: number;
  /** The longest that the oldest trade may wait, in milliseconds. */
  readonly tradeAgeMaxMs: number;
  /** The longest that a withdrawal may wait, in milliseconds. */
  readonly withdrawalAgeMaxMs: number;
  /** However cheap gas is, a batch is not sealed before its oldest trade has waited so long: each batch has a fixed cost. */
  readonly ageMinMs: number;
};

export type SealFacts = {
  readonly nowMs: number;
  readonly unsealedTrades: number;
  readonly oldestUnsealedTimestampMs: number | undefined;
  readonly pendingWithdrawals: number;
  readonly withdrawalsSinceMs: number | undefined;
};

export type SealDecision =
  | { readonly kind: 'seal'; readonly tradesMax: number; readonly withdrawalsMax: number }
  | { readonly kind: 'wait'; readonly untilMs: number | undefined };

/** Base fees in wei: the present one, and samples of the recent past in any order. */
export type GasPrices = { readonly now: bigint; readonly recent: readonly bigint[] };

/** How often a waiting batch is looked at again while gas is too dear, in milliseconds. */
const LOOK_AGAIN_MS = 12_000;

export function decideSeal(facts: SealFacts, settings: SealSettings, gas: GasPrices | undefined): SealDecision {
  const tradesMax = Math.min(settings.tradesMax, BATCH_TRADES_MAX);
  const withdrawalsMax = Math.min(settings.withdrawalsMax, BATCH_WITHDRAWALS_MAX);
  const seal: SealDecision = { kind: 'seal', tradesMax, withdrawalsMax };
  const { nowMs, oldestUnsealedTimestampMs: tradeMs, withdrawalsSinceMs: withdrawalMs } = facts;
  if (tradeMs === undefined && withdrawalMs === undefined) return { kind: 'wait', untilMs: undefined };
  if (facts.unsealedTrades >= tradesMax || facts.pendingWithdrawals >= withdrawalsMax) return seal;

  const dueMs = Math.min(
    (tradeMs ?? Infinity) + settings.tradeAgeMaxMs,
    (withdrawalMs ?? Infinity) + settings.withdrawalAgeMaxMs,
  );
  if (nowMs >= dueMs) return seal;
  const sinceMs = Math.min(tradeMs ?? Infinity, withdrawalMs ?? Infinity);
  const earliestMs = sinceMs + settings.ageMinMs;
  if (gas === undefined) return { kind: 'wait', untilMs: dueMs };
  if (nowMs < earliestMs) return { kind: 'wait', untilMs: Math.min(dueMs, earliestMs) };

  const waited = (nowMs - sinceMs) / Math.max(1, dueMs - sinceMs);
  if (priceRank(gas) <= acceptedRank(waited)) return seal;
  return { kind: 'wait', untilMs: Math.min(dueMs, nowMs + LOOK_AGAIN_MS) };
}

/** Share of recent base fees strictly below the present one: 0 when gas was never cheaper. */
export function priceRank(gas: GasPrices): number {
  if (gas.recent.length === 0) return 0;
  return gas.recent.filter((fee) => fee < gas.now).length / gas.recent.length;
}

/** The dearest rank accepted after this share of the longest wait: almost only troughs at first, anything at the end. */
function acceptedRank(waited: number): number {
  return waited ** 3;
}
