/**
 * Entry of orders: every check that can refuse one, then placement. A refused order changes nothing, not even its lane.
 *
 * A nonce names one order. The same order again (same digest) is refused as `duplicate_order`, so that a resend is told
 * apart from a second order under the nonce (`nonce_reused`); in both cases the first one is untouched.
 */
import type { Address, Lots, PriceTicks, Quanta } from '../domain/units.ts';
import { FEE_PPM_MAX, fitsNotional, LANE_MAX, ORDER_SEQUENCE_MAX, PRICE_TICKS_MAX } from '../domain/units.ts';
import { ACCOUNT_INT_SHIFT, CANCELLED_BEFORE, DROPPED_SEQUENCE, OPEN_ORDERS, sessionKeyAllows } from './accounts.ts';
import {
  ACCOUNT,
  BUY,
  DUE,
  EXPIRY,
  FILLED,
  FLAG_SESSION_KEY,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  FOK,
  INT_SHIFT,
  IOC,
  LANE,
  LANE_SLOT,
  MARKET,
  MAX_FEE_PPM,
  ORDER_SEQUENCE,
  PLACED_AT,
  PRICE,
  PRIORITY,
  packFlags,
  REFERENCES,
  REMAINING,
  SELL,
  SIZE,
  STATE,
  STATE_MATCHING,
  STATE_RESTING,
  STATE_STOP,
  STOP_AT_OR_ABOVE,
  STOP_NONE,
  stopDirectionOf,
  TRIGGER_PRICE,
} from './book/order-pool.ts';
import { cancellation, rejection } from './codes.ts';
import { ACCEPTED, STATUS_CANCELLED } from './event-sink.ts';
import { feesOf } from './fees.ts';
import { AVAILABLE } from './ledger.ts';
import { closeOrder, leaveBook, linkOrder, releaseLock, unlinkOrder } from './live-orders.ts';
import { lockedFor } from './lock.ts';
import { canFill, runTaker } from './matching.ts';
import type { OrderTicket } from './order-ticket.ts';
import {
  type EngineState,
  type MarketBook,
  ORDER_LIFE_MAX_SECONDS,
  ORDERS_MAX,
  SEQUENCE_AHEAD_MAX_MS,
} from './state.ts';
import { STOPS_PER_MARKET_MAX } from './stop-book.ts';
import { UNSEALED_TRADES_MAX } from './trades.ts';

const ACCEPT = 0;
const REPLACED = cancellation('replaced');
const REJECT = {
  unknownMarket: rejection('unknown_market'),
  marketNotOpen: rejection('market_not_open'),
  sizeZero: rejection('size_zero'),
  sizeTooLarge: rejection('size_too_large'),
  priceZero: rejection('price_zero'),
  priceTooHigh: rejection('price_too_high'),
  notionalTooLarge: rejection('notional_too_large'),
  belowMinNotional: rejection('below_min_notional'),
  outsidePriceBand: rejection('outside_price_band'),
  expired: rejection('expired'),
  expiryTooFar: rejection('expiry_too_far'),
  maxFeeTooLow: rejection('max_fee_too_low'),
  maxFeeTooHigh: rejection('max_fee_too_high'),
  sequenceTooOld: rejection('sequence_too_old'),
  sequenceInFuture: rejection('sequence_in_future'),
  laneBusy: rejection('lane_busy'),
  nonceReused: rejection('nonce_reused'),
  duplicateOrder: rejection('duplicate_order'),
  nonceSuperseded: rejection('nonce_superseded'),
  cancelledOnChain: rejection('cancelled_on_chain'),
  insufficientBalance: rejection('insufficient_balance'),
  exitPending: rejection('exit_pending'),
  accountInDeficit: rejection('account_in_deficit'),
  tooManyOpenOrders: rejection('too_many_open_orders'),
  sessionKeyNotValid: rejection('session_key_not_valid'),
  postOnlyWouldCross: rejection('post_only_would_cross'),
  postOnlyNotResting: rejection('post_only_not_resting'),
  fillOrKillUnfillable: rejection('fill_or_kill_unfillable'),
  orderNotFound: rejection('order_not_found'),
  stopWouldTrigger: rejection('stop_would_trigger'),
  badStop: rejection('bad_stop'),
  orderNotRegistered: rejection('order_not_registered'),
  bookFull: rejection('book_full'),
} as const;

/** Places the order. @returns 0, or the code of the reason it was refused for. */
export function placeOrder(state: EngineState, ticket: OrderTicket): number {
  const laneSlot = ticket.account < 0 ? -1 : state.lanes.find(ticket.account, ticket.lane);
  const refused = check(state, ticket, laneSlot, 0);
  if (refused !== ACCEPT) return refused;
  admit(state, ticket, laneSlot, 0);
  return ACCEPT;
}

/**
 * Replaces a live order by a newly signed one, at once: if the new one is refused, the old one stays as it is.
 * The new order's size is its own, fills of the old one do not count towards it. It keeps the old one's place in the queue
 * when it has the same market, side and price and no more size than the old one had left; the old one's fills remain its
 * own, and every later fill belongs to the new order, which supersedes the old one on chain as well.
 * @returns 0, or the code of the reason it was refused for.
 */
export function replaceOrder(
  state: EngineState,
  replacedLane: number,
  replacedSequence: number,
  ticket: OrderTicket,
): number {
  if (ticket.account < 0) return REJECT.orderNotFound;
  const laneSlot = state.lanes.find(ticket.account, ticket.lane);
  if (laneSlot >= 0 && isDuplicate(state, ticket, laneSlot)) return REJECT.duplicateOrder;
  const replaced = findLiveOrder(state, ticket.account, replacedLane, replacedSequence);
  if (replaced === 0) return REJECT.orderNotFound;
  const refused = check(state, ticket, laneSlot, replaced);
  if (refused !== ACCEPT) return refused;
  admit(state, ticket, laneSlot, replaced);
  return ACCEPT;
}

/** Id of the live order with that nonce; 0 when there is none. */
export function findLiveOrder(state: EngineState, account: number, lane: number, orderSequence: number): number {
  if (account < 0) return 0;
  const slot = state.lanes.find(account, lane);
  return slot >= 0 && state.lanes.sequence(slot) === orderSequence ? state.lanes.order(slot) : 0;
}

function isDuplicate(state: EngineState, ticket: OrderTicket, laneSlot: number): boolean {
  return state.lanes.sequence(laneSlot) === ticket.orderSequence && state.lanes.digest(laneSlot) === ticket.digest;
}

function check(state: EngineState, ticket: OrderTicket, laneSlot: number, replaced: number): number {
  if (laneSlot >= 0 && isDuplicate(state, ticket, laneSlot)) return REJECT.duplicateOrder;
  const market = state.markets[ticket.market];
  if (market === undefined) return REJECT.unknownMarket;
  if (!takesOrders(state, market)) return REJECT.marketNotOpen;
  const terms = checkTerms(state, market, ticket);
  if (terms !== ACCEPT) return terms;
  if (ticket.account < 0) return REJECT.insufficientBalance;
  const nonce = checkNonce(state, ticket, laneSlot, replaced);
  if (nonce !== ACCEPT) return nonce;
  const account = checkAccount(state, market, ticket, replaced);
  if (account !== ACCEPT) return account;
  return checkBook(state, market, ticket, replaced);
}

/** Whether the market takes new orders: its own state, and the caps on what is not settled yet. */
export function takesOrders(state: EngineState, market: MarketBook): boolean {
  if (market.state !== 'open' || market.delisted || state.genesis === undefined) return false;
  const { batchesInFlightMax, unsettledAgeMaxMs } = state.genesis.limits;
  return (
    state.batches.length < batchesInFlightMax &&
    state.nowMs - state.unsettledSinceMs <= unsettledAgeMaxMs &&
    state.trades.count < UNSEALED_TRADES_MAX
  );
}

function isCount(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}

function checkTerms(state: EngineState, market: MarketBook, ticket: OrderTicket): number {
  const { sizeLots, priceTicks, maxFeePpm, timeInForce } = ticket;
  const { maxSizeLots, maxPriceTicks } = market.market;
  if (!isCount(sizeLots, maxSizeLots)) return sizeLots > maxSizeLots ? REJECT.sizeTooLarge : REJECT.sizeZero;
  const priceMax = Math.min(maxPriceTicks, PRICE_TICKS_MAX);
  if (!isCount(priceTicks, priceMax)) return priceTicks > priceMax ? REJECT.priceTooHigh : REJECT.priceZero;
  if (!fitsNotional(priceTicks as PriceTicks, sizeLots as Lots, { tickQuanta: market.tickQuanta as Quanta })) {
    return REJECT.notionalTooLarge;
  }
  const notional = sizeLots * priceTicks * market.tickQuanta;
  if (notional * 1.05 >= Number.MAX_SAFE_INTEGER || sizeLots * market.lotQuanta >= Number.MAX_SAFE_INTEGER) {
    return REJECT.notionalTooLarge;
  }
  const { minNotional, priceBandPpm } = market.parameters;
  const { makerFeePpm, takerFeePpm } = ticket.account < 0 ? market.parameters : feesOf(state, market, ticket.account);
  if (notional < minNotional) return REJECT.belowMinNotional;
  if (!(maxFeePpm >= 0 && maxFeePpm <= FEE_PPM_MAX)) return REJECT.maxFeeTooHigh;
  if (maxFeePpm < (ticket.postOnly ? makerFeePpm : Math.max(makerFeePpm, takerFeePpm))) return REJECT.maxFeeTooLow;
  if (ticket.postOnly && (timeInForce === IOC || timeInForce === FOK)) return REJECT.postOnlyNotResting;
  if (priceBandPpm > 0 && market.lastPrice > 0) {
    if (Math.abs(priceTicks - market.lastPrice) * 1_000_000 > priceBandPpm * market.lastPrice)
      return REJECT.outsidePriceBand;
  }
  return checkTimes(state, ticket);
}

function checkTimes(state: EngineState, ticket: OrderTicket): number {
  const { expiry, orderSequence } = ticket;
  const sinceDeploymentMs = state.nowMs - state.genesis!.deployedAtMs;
  if (!(expiry * 1000 > state.nowMs)) return REJECT.expired;
  // Counted from the sequence as well as from now: the contract knows only the sequence.
  const bornMs = state.genesis!.deployedAtMs + Math.min(orderSequence, sinceDeploymentMs);
  if (expiry > bornMs / 1000 + ORDER_LIFE_MAX_SECONDS) return REJECT.expiryTooFar;
  if (!isCount(orderSequence, ORDER_SEQUENCE_MAX))
    return orderSequence > 0 ? REJECT.sequenceInFuture : REJECT.sequenceTooOld;
  if (orderSequence > sinceDeploymentMs + SEQUENCE_AHEAD_MAX_MS) return REJECT.sequenceInFuture;
  if (!ticket.registered && orderSequence < oldestSequence(state)) return REJECT.sequenceTooOld;
  return ACCEPT;
}

/** A new order's sequence is at least this, unless it is registered on chain. */
export function oldestSequence(state: EngineState): number {
  return state.nowMs - state.genesis!.deployedAtMs - state.genesis!.limits.orderAgeMaxMs;
}

function checkNonce(state: EngineState, ticket: OrderTicket, laneSlot: number, replaced: number): number {
  const { account, orderSequence } = ticket;
  if (orderSequence < state.accounts.figure(account, CANCELLED_BEFORE)) return REJECT.cancelledOnChain;
  if (!Number.isInteger(ticket.lane) || ticket.lane < 0 || ticket.lane > LANE_MAX) return REJECT.nonceSuperseded;
  // Of dropped lanes only the highest sequence is known. Other orders are younger, unless the limit on their age was raised since.
  if (laneSlot < 0)
    return orderSequence <= state.accounts.figure(account, DROPPED_SEQUENCE) ? REJECT.nonceSuperseded : ACCEPT;
  const used = state.lanes.sequence(laneSlot);
  if (orderSequence === used) return REJECT.nonceReused;
  if (orderSequence < used) return REJECT.nonceSuperseded;
  const live = state.lanes.order(laneSlot);
  return live !== 0 && live !== replaced ? REJECT.laneBusy : ACCEPT;
}

function checkAccount(state: EngineState, market: MarketBook, ticket: OrderTicket, replaced: number): number {
  const { account } = ticket;
  if (ticket.registered) {
    if (ticket.sessionKey !== '') return REJECT.sessionKeyNotValid;
    if (!state.registeredOrders.has(registration(state, ticket))) return REJECT.orderNotRegistered;
  } else if (ticket.sessionKey !== '') {
    const key = state.accounts.sessionKeys[account]?.get(ticket.sessionKey as Address);
    if (key === undefined || !sessionKeyAllows(key, market.index, state.nowMs / 1000)) return REJECT.sessionKeyNotValid;
  }
  if (state.accounts.exits[account] !== undefined) {
    if (state.accounts.hasExit(account, market.base) || state.accounts.hasExit(account, market.quote))
      return REJECT.exitPending;
  }
  if (state.ledger.inDeficit(account)) return REJECT.accountInDeficit;
  const open = state.accounts.ints[(account << ACCOUNT_INT_SHIFT) + OPEN_ORDERS]! - (replaced === 0 ? 0 : 1);
  if (open >= state.genesis!.limits.openOrdersPerAccountMax) return REJECT.tooManyOpenOrders;
  if (state.pool.used >= ORDERS_MAX) return REJECT.bookFull;
  return ACCEPT;
}

function checkBook(state: EngineState, market: MarketBook, ticket: OrderTicket, replaced: number): number {
  const { account, side, priceTicks, sizeLots } = ticket;
  if (ticket.stopDirection !== STOP_NONE) {
    const { triggerPrice } = ticket;
    if (!isCount(triggerPrice, PRICE_TICKS_MAX) || ticket.postOnly) return REJECT.badStop;
    if (market.lastPrice > 0) {
      const reached =
        ticket.stopDirection === STOP_AT_OR_ABOVE ? market.lastPrice >= triggerPrice : market.lastPrice <= triggerPrice;
      if (reached) return REJECT.stopWouldTrigger;
    }
    if (market.stops.count >= STOPS_PER_MARKET_MAX) return REJECT.bookFull;
  } else if (ticket.postOnly && crosses(state, market, side, priceTicks, replaced)) return REJECT.postOnlyWouldCross;

  const asset = side === SELL ? market.base : market.quote;
  const slot = state.ledger.find(account, asset);
  let available = slot === 0 ? 0 : state.ledger.get(slot, AVAILABLE);
  if (replaced !== 0) available += lockReleasedBy(state, replaced, asset);
  ticket.lockQuanta = lockedFor(market, side, priceTicks, sizeLots, ticket.maxFeePpm);
  if (ticket.lockQuanta > available) return REJECT.insufficientBalance;
  if (ticket.stopDirection === STOP_NONE && ticket.timeInForce === FOK) {
    if (!canFill(state, market, account, side, priceTicks, sizeLots, ticket.prevention, replaced))
      return REJECT.fillOrKillUnfillable;
  }
  return ACCEPT;
}

/** Whether the price meets the other side, not counting the order `replaced` when it stands there alone. */
function crosses(state: EngineState, market: MarketBook, side: number, price: number, replaced: number): boolean {
  const { book } = market;
  let best = side === BUY ? book.bestAsk : book.bestBid;
  if (
    best !== 0 &&
    replaced !== 0 &&
    book.head(side ^ 1) === replaced &&
    book.sizeAt(side ^ 1, best) === state.pool.floats[(replaced << FLOAT_SHIFT) + REMAINING]!
  ) {
    best = book.nextPrice(side ^ 1, best);
  }
  return best !== 0 && (side === BUY ? best <= price : best >= price);
}

function lockReleasedBy(state: EngineState, id: number, asset: number): number {
  const ints = state.pool.ints;
  const at = id << INT_SHIFT;
  const market = state.markets[ints[at + MARKET]!]!;
  const side = ints[at + FLAGS]! & FLAG_SIDE;
  if ((side === SELL ? market.base : market.quote) !== asset) return 0;
  return lockedFor(
    market,
    side,
    ints[at + PRICE]!,
    state.pool.floats[(id << FLOAT_SHIFT) + REMAINING]!,
    ints[at + MAX_FEE_PPM]!,
  );
}

function registration(state: EngineState, ticket: OrderTicket): string {
  return `${state.accounts.addresses[ticket.account]}:${ticket.digest}`;
}

/** Nothing can refuse it any more: takes the lane, locks, replaces, matches or waits. */
function admit(state: EngineState, ticket: OrderTicket, laneSlot: number, replaced: number): void {
  const { ledger, sink } = state;
  const market = state.markets[ticket.market]!;
  if (ticket.registered) state.registeredOrders.delete(registration(state, ticket));
  const slot = laneSlot < 0 ? openLane(state, ticket) : laneSlot;
  const id = writeOrder(state, ticket, slot);
  const keepsPlace = replaced !== 0 && mayKeepPlace(state, id, replaced);
  if (replaced !== 0) endReplaced(state, replaced, id, keepsPlace);
  state.lanes.use(slot, ticket.orderSequence, ticket.digest);
  ledger.lock(ledger.slot(ticket.account, ticket.side === SELL ? market.base : market.quote), ticket.lockQuanta);
  const accepted = sink.write(ACCEPTED, id, 0, 0);
  if (ticket.stopDirection !== STOP_NONE) {
    state.pool.ints[(id << INT_SHIFT) + STATE] = STATE_STOP;
    market.stops.insert(id);
    linkOrder(state, id);
    return;
  }
  if (keepsPlace) {
    state.pool.ints[(id << INT_SHIFT) + STATE] = STATE_RESTING;
    linkOrder(state, id);
    sink.level(market.index, ticket.side, ticket.priceTicks);
    sink.patch(accepted, ticket.sizeLots);
    return;
  }
  sink.patch(accepted, runTaker(state, market, id, false));
}

function openLane(state: EngineState, ticket: OrderTicket): number {
  state.lanes.sweepIfDue(oldestSequence(state), state.pool, state.accounts);
  return state.lanes.open(ticket.account, ticket.lane, state.pool);
}

function writeOrder(state: EngineState, ticket: OrderTicket, laneSlot: number): number {
  const { pool } = state;
  const id = pool.allocate();
  const { ints, floats } = pool;
  const at = id << INT_SHIFT;
  const floatAt = id << FLOAT_SHIFT;
  ints[at + PRICE] = ticket.priceTicks;
  ints[at + ACCOUNT] = ticket.account;
  ints[at + FLAGS] = packFlags(
    ticket.side,
    ticket.timeInForce,
    ticket.postOnly,
    ticket.prevention,
    ticket.stopDirection,
  );
  if (ticket.sessionKey !== '') {
    ints[at + FLAGS]! |= FLAG_SESSION_KEY;
    pool.signers.set(id, ticket.sessionKey);
  }
  ints[at + MARKET] = ticket.market;
  ints[at + LANE] = ticket.lane;
  ints[at + LANE_SLOT] = laneSlot;
  ints[at + MAX_FEE_PPM] = ticket.maxFeePpm;
  ints[at + REFERENCES] = 0;
  ints[at + TRIGGER_PRICE] = ticket.triggerPrice;
  ints[at + STATE] = STATE_MATCHING;
  floats[floatAt + REMAINING] = ticket.sizeLots;
  floats[floatAt + PLACED_AT] = state.sequence;
  floats[floatAt + SIZE] = ticket.sizeLots;
  floats[floatAt + FILLED] = 0;
  floats[floatAt + ORDER_SEQUENCE] = ticket.orderSequence;
  floats[floatAt + EXPIRY] = ticket.expiry;
  floats[floatAt + DUE] = dueOf(state, ticket);
  pool.digests[id] = ticket.digest;
  return id;
}

/** When the order must be looked at: at its expiry, or when the session key that signed it ends, if sooner. */
function dueOf(state: EngineState, ticket: OrderTicket): number {
  if (ticket.sessionKey === '') return ticket.expiry;
  const key = state.accounts.sessionKeys[ticket.account]!.get(ticket.sessionKey as Address)!;
  return Math.min(ticket.expiry, key.validUntil);
}

function mayKeepPlace(state: EngineState, id: number, replaced: number): boolean {
  const { ints, floats } = state.pool;
  const at = id << INT_SHIFT;
  const old = replaced << INT_SHIFT;
  const waits = stopDirectionOf(ints[at + FLAGS]!) !== STOP_NONE;
  const rests = ((ints[at + FLAGS]! >>> 1) & 3) !== IOC && ((ints[at + FLAGS]! >>> 1) & 3) !== FOK;
  return (
    ints[old + STATE] === STATE_RESTING &&
    rests &&
    !waits &&
    ints[at + MARKET] === ints[old + MARKET] &&
    ints[at + PRICE] === ints[old + PRICE] &&
    (ints[at + FLAGS]! & FLAG_SIDE) === (ints[old + FLAGS]! & FLAG_SIDE) &&
    floats[(id << FLOAT_SHIFT) + REMAINING]! <= floats[(replaced << FLOAT_SHIFT) + REMAINING]!
  );
}

function endReplaced(state: EngineState, replaced: number, id: number, keepsPlace: boolean): void {
  const market = state.markets[state.pool.ints[(replaced << INT_SHIFT) + MARKET]!]!;
  releaseLock(state, market, replaced);
  if (keepsPlace) {
    const { floats } = state.pool;
    floats[(id << FLOAT_SHIFT) + PRIORITY] = floats[(replaced << FLOAT_SHIFT) + PRIORITY]!;
    market.book.takePlace(replaced, id);
  } else leaveBook(state, market, replaced);
  unlinkOrder(state, replaced);
  closeOrder(state, replaced, STATUS_CANCELLED, REPLACED);
}
