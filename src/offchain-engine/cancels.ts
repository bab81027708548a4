/** Ends of orders other than by trading: asked for, by the dead man's switch, or because their time is up. */
import type { RejectReason } from '../domain/reasons.ts';
import * as orders from './book/order-pool.ts';
import { cancellation } from './codes.ts';
import * as sinkRecords from './event-sink.ts';
import { endLiveOrder, liveOrdersOf } from './live-orders.ts';
import { lockedFor } from './lock.ts';
import { findLiveOrder } from './order-checks.ts';
import type { EngineState } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const {
  DUE,
  EXPIRY,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  INT_SHIFT,
  LIFE_FLOAT_SHIFT,
  LIFE_INT_SHIFT,
  MARKET,
  MAX_FEE_PPM,
  PLACED_AT,
  PRICE,
  REMAINING,
  SELL,
  STATE,
  STATE_RESTING,
  TERM_FLOAT_SHIFT,
} = orders;
const { REDUCED, STATUS_CANCELLED, STATUS_EXPIRED } = sinkRecords;

const REQUESTED = cancellation('requested');
const EXPIRED = cancellation('expired');
const CANCEL_AFTER = cancellation('cancel_after');
const SESSION_KEY_ENDED = cancellation('session_key_ended');

/** @returns false when there is no live order with that nonce. */
export function cancelOrder(state: EngineState, account: number, lane: number, orderSequence: number): boolean {
  const id = findLiveOrder(state, account, lane, orderSequence);
  if (id === 0) return false;
  endLiveOrder(state, id, STATUS_CANCELLED, REQUESTED);
  return true;
}

/**
 * Shrinks what a live order has left to `remaining`: it keeps its place, and what it no longer needs is unlocked.
 * @returns why not, or undefined
 */
export function reduceOrder(
  state: EngineState,
  account: number,
  lane: number,
  orderSequence: number,
  remaining: number,
): RejectReason | undefined {
  const id = findLiveOrder(state, account, lane, orderSequence);
  if (id === 0) return 'order_not_found';
  const { ints, floats, lifeInts } = state.pool;
  const lifeAt = id << LIFE_INT_SHIFT;
  const left = floats[(id << FLOAT_SHIFT) | REMAINING]!;
  if (!Number.isInteger(remaining) || remaining < 1 || remaining >= left) return 'not_smaller';
  const at = id << INT_SHIFT;
  const market = state.markets[ints[at | MARKET]!]!;
  const side = ints[at | FLAGS]! & FLAG_SIDE;
  const price = ints[at | PRICE]!;
  const maxFeePpm = lifeInts[lifeAt | MAX_FEE_PPM]!;
  const released =
    lockedFor(market, side, price, left, maxFeePpm) - lockedFor(market, side, price, remaining, maxFeePpm);
  state.ledger.unlock(state.ledger.slot(account, side === SELL ? market.base : market.quote), released);
  if (lifeInts[lifeAt | STATE] === STATE_RESTING) {
    market.book.reduce(id, left - remaining);
    state.sink.level(market.index, side, price);
  } else floats[(id << FLOAT_SHIFT) | REMAINING] = remaining;
  state.sink.write(REDUCED, id, remaining, 0);
  return undefined;
}

/** Cancels the account's live orders, oldest first. @param market undefined for every market. */
export function cancelAllOrders(state: EngineState, account: number, market: number | undefined): void {
  const { ints } = state.pool;
  cancelWhere(state, account, REQUESTED, (id) => market === undefined || ints[(id << INT_SHIFT) | MARKET] === market);
}

/** Cancels the account's live orders that `wanted` selects, oldest first. */
export function cancelWhere(
  state: EngineState,
  account: number,
  cancelCode: number,
  wanted: (id: number) => boolean,
): void {
  for (const id of liveOrdersOf(state, account, wanted)) endLiveOrder(state, id, STATUS_CANCELLED, cancelCode);
}

/** Sets, renews or (undefined) switches off the account's dead man's switch. */
export function setCancelAfter(state: EngineState, account: number, deadlineMs: number | undefined): void {
  if (account < 0) return;
  if (deadlineMs === undefined) {
    state.cancelAfter.delete(account);
    return;
  }
  state.cancelAfter.set(account, deadlineMs);
  state.cancelAfterNotBeforeMs = Math.min(state.cancelAfterNotBeforeMs, deadlineMs);
  if (deadlineMs <= state.nowMs) fireCancelAfter(state);
}

/** Ends what is due at the command's time. Called before every command, so that nothing matches past its time. */
export function fireDeadlines(state: EngineState): void {
  if (state.deadlines.mayBeDue(state.nowMs)) fireOrderDeadlines(state, state.nowMs / 1000);
  if (state.nowMs >= state.cancelAfterNotBeforeMs) fireCancelAfter(state);
}

/** First time (ms) at which something is due; Infinity when nothing ever is. */
export function firstDeadlineMs(state: EngineState): number {
  refreshCancelAfter(state);
  return Math.min(state.deadlines.first() * 1000, state.cancelAfterNotBeforeMs);
}

function fireOrderDeadlines(state: EngineState, nowSeconds: number): void {
  const { lifeFloats, termFloats } = state.pool;
  const ids = state.deadlines.due(nowSeconds).sort((a, b) => {
    return (
      lifeFloats[(a << LIFE_FLOAT_SHIFT) | DUE]! - lifeFloats[(b << LIFE_FLOAT_SHIFT) | DUE]! ||
      lifeFloats[(a << LIFE_FLOAT_SHIFT) | PLACED_AT]! - lifeFloats[(b << LIFE_FLOAT_SHIFT) | PLACED_AT]!
    );
  });
  for (const id of ids) {
    if (termFloats[(id << TERM_FLOAT_SHIFT) | EXPIRY]! <= nowSeconds) {
      endLiveOrder(state, id, STATUS_EXPIRED, EXPIRED);
      continue;
    }
    endLiveOrder(state, id, STATUS_CANCELLED, SESSION_KEY_ENDED);
  }
  state.deadlines.first();
}

function fireCancelAfter(state: EngineState): void {
  const due = [...state.cancelAfter].filter(([, deadlineMs]) => deadlineMs <= state.nowMs);
  due.sort((a, b) => a[1] - b[1] || a[0] - b[0]);
  for (const [account] of due) {
    state.cancelAfter.delete(account);
    cancelWhere(state, account, CANCEL_AFTER, () => true);
  }
  refreshCancelAfter(state);
}

function refreshCancelAfter(state: EngineState): void {
  let first = Number.POSITIVE_INFINITY;
  for (const deadlineMs of state.cancelAfter.values()) first = Math.min(first, deadlineMs);
  state.cancelAfterNotBeforeMs = first;
}
