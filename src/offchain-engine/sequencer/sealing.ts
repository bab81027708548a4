/** When a batch is sealed. The decision becomes a journaled command, so it may depend on anything; what is sealed may not. */
import { BATCH_TRADES_MAX, BATCH_WITHDRAWALS_MAX } from '../../domain/batches.ts';

export type SealFacts = {
  readonly nowMs: number;
  readonly unsealedTrades: number;
  readonly oldestUnsealedTimestampMs: number | undefined;
  /** Accepted withdrawals that are in no batch yet. */
  readonly pendingWithdrawals: number;
  /** Since when at least one withdrawal has been waiting. */
  readonly withdrawalsSinceMs: number | undefined;
  readonly lastSealMs: number | undefined;
};

export type SealDecision =
  | { readonly kind: 'seal'; readonly tradesMax: number; readonly withdrawalsMax: number }
  /** Ask again then, or when something changes. */
  | { readonly kind: 'wait'; readonly untilMs: number | undefined };

/** Asked before every row and whenever its own `untilMs` has come. Settlement steers cadence and size by passing another. */
export type SealPolicy = (facts: SealFacts) => SealDecision;

export type SealSettings = {
  /** Seal as soon as so many trades wait. */
  readonly tradesMin: number;
  /** Seal when the oldest trade has waited so long. */
  readonly tradeAgeMs: number;
  /** Seal when the oldest withdrawal has waited so long. */
  readonly withdrawalAgeMs: number;
  readonly tradesMax?: number;
  readonly withdrawalsMax?: number;
};

/** By count, by age of the oldest trade, or because withdrawals wait. */
export function sealByCountAndAge(settings: SealSettings): SealPolicy {
  const tradesMax = settings.tradesMax ?? BATCH_TRADES_MAX;
  const withdrawalsMax = settings.withdrawalsMax ?? BATCH_WITHDRAWALS_MAX;
  return (facts) => {
    const dueMs = Math.min(
      facts.oldestUnsealedTimestampMs === undefined ? Infinity : facts.oldestUnsealedTimestampMs + settings.tradeAgeMs,
      facts.withdrawalsSinceMs === undefined ? Infinity : facts.withdrawalsSinceMs + settings.withdrawalAgeMs,
    );
    const wanted = facts.unsealedTrades >= settings.tradesMin || facts.pendingWithdrawals >= withdrawalsMax;
    if (wanted || dueMs <= facts.nowMs) return { kind: 'seal', tradesMax, withdrawalsMax };
    return { kind: 'wait', untilMs: dueMs === Infinity ? undefined : dueMs };
  };
}
