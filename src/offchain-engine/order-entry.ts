/**
 * Entry of orders: every check that can refuse one, then placement. A refused order changes nothing, not even its lane.
 *
 * A nonce names one order. The same order again (same digest) is refused as `duplicate_order`, so that a resend is told
 * apart from a second order under the nonce (`nonce_reused`); in both cases the first one is untouched.
 */
import type { Address } from '../domain/units.ts';
import * as units from '../domain/units.ts';
import * as accountTable from './accounts.ts';
import { sessionKeyAllows } from './accounts.ts';
import * as orders from './book/order-pool.ts';
import { preventionOf, stopDirectionOf, timeInForceOf } from './book/order-pool.ts';
import { cancellation, rejection } from './codes.ts';
import type { CommandRecords } from './command-records.ts';
import * as records from './command-records.ts';
import { copyDigest, readDigest } from './digest-words.ts';
import * as sinkRecords from './event-sink.ts';
import { feesOf } from './fees.ts';
import * as balances from './ledger.ts';
import { closeOrder, leaveBook, linkOrder, releaseLock, unlinkOrder } from './live-orders.ts';
import { lockedFor } from './lock.ts';
import { canFill, runTaker } from './matching.ts';
import type { EngineState, MarketBook } from './state.ts';
import * as stateModule from './state.ts';
import * as stopBook from './stop-book.ts';
import * as tradeLog from './trades.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FEE_PPM_MAX, LANE_MAX, ORDER_SEQUENCE_MAX, PRICE_TICKS_MAX } = units;
const { ACCOUNT_INT_SHIFT, CANCELLED_BEFORE, DROPPED_SEQUENCE, OPEN_ORDERS } = accountTable;
const {
  ACCOUNT,
  BUY,
  DIGEST,
  DUE,
  EXPIRY,
  FILLED,
  FLAG_POST_ONLY,
  FLAG_SESSION_KEY,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  FOK,
  INT_SHIFT,
  IOC,
  LANE,
  LANE_SLOT,
  LIFE_FLOAT_SHIFT,
  LIFE_INT_SHIFT,
  MARKET,
  MAX_FEE_PPM,
  ORDER_SEQUENCE,
  PLACED_AT,
  PRICE,
  PRIORITY,
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
  TERM_FLOAT_SHIFT,
  TERM_INT_SHIFT,
  TRIGGER_PRICE,
} = orders;
const {
  COMMAND_FLOAT_SHIFT,
  COMMAND_INT_SHIFT,
  FLAG_REGISTERED,
  OF_ACCOUNT,
  OF_SEQUENCE,
  ORDER_DIGEST,
  ORDER_EXPIRY,
  ORDER_FLAGS,
  ORDER_LANE,
  ORDER_MARKET,
  ORDER_MAX_FEE_PPM,
  ORDER_PRICE,
  ORDER_SIZE,
  ORDER_TRIGGER_PRICE,
  REPLACED_LANE,
  REPLACED_SEQUENCE,
} = records;
const { ACCEPTED, STATUS_CANCELLED } = sinkRecords;
const { AVAILABLE } = balances;
const { ORDER_LIFE_MAX_SECONDS, ORDERS_MAX, SEQUENCE_AHEAD_MAX_MS } = stateModule;
const { STOPS_PER_MARKET_MAX } = stopBook;
const { UNSEALED_TRADES_MAX } = tradeLog;

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

/** What the order on its way in locks, in quanta, and where: set by its check. */
const lock = { quanta: 0, slot: 0 };

/** Places the order of the record. @returns 0, or the code of the reason it was refused for. */
export function placeOrder(state: EngineState, records: CommandRecords, index: number): number {
  const at = index << COMMAND_INT_SHIFT;
  const account = records.ints[at + OF_ACCOUNT]!;
  const laneSlot = account < 0 ? 0 : state.lanes.find(account, records.ints[at + ORDER_LANE]!);
  const refused = check(state, records, index, laneSlot, 0);
  if (refused === ACCEPT) admit(state, records, index, laneSlot, 0);
  return refused;
}

/**
 * Replaces a live order by a newly signed one, at once: if the new one is refused, the old one stays as it is.
 * The new order's size is its own, fills of the old one do not count towards it. It keeps the old one's place in the queue
 * when it has the same market, side and price and no more size than the old one had left; the old one's fills remain its
 * own, and every later fill belongs to the new order, which supersedes the old one on chain as well.
 * @returns 0, or the code of the reason it was refused for.
 */
export function replaceOrder(state: EngineState, records: CommandRecords, index: number): number {
  const { ints, floats } = records;
  const at = index << COMMAND_INT_SHIFT;
  const account = ints[at + OF_ACCOUNT]!;
  const replacedSequence = floats[(index << COMMAND_FLOAT_SHIFT) + REPLACED_SEQUENCE]!;
  if (account < 0 || replacedSequence < 0) return REJECT.orderNotFound;
  const laneSlot = state.lanes.find(account, ints[at + ORDER_LANE]!);
  if (laneSlot !== 0 && isDuplicate(state, records, index, laneSlot)) return REJECT.duplicateOrder;
  const replaced = findLiveOrder(state, account, ints[at + REPLACED_LANE]!, replacedSequence);
  if (replaced === 0) return REJECT.orderNotFound;
  const refused = check(state, records, index, laneSlot, replaced);
  if (refused === ACCEPT) admit(state, records, index, laneSlot, replaced);
  return refused;
}

/** Id of the live order with that nonce; 0 when there is none. */
export function findLiveOrder(state: EngineState, account: number, lane: number, orderSequence: number): number {
  if (account < 0 || lane > LANE_MAX) return 0;
  const slot = state.lanes.find(account, lane);
  return slot !== 0 && state.lanes.sequence(slot) === orderSequence ? state.lanes.order(slot) : 0;
}

function isDuplicate({ lanes }: EngineState, records: CommandRecords, index: number, laneSlot: number): boolean {
  return (
    lanes.sequence(laneSlot) === records.floats[(index << COMMAND_FLOAT_SHIFT) + OF_SEQUENCE] &&
    lanes.hasDigest(laneSlot, records.ints, (index << COMMAND_INT_SHIFT) + ORDER_DIGEST)
  );
}

function check(state: EngineState, records: CommandRecords, index: number, laneSlot: number, replaced: number): number {
  if (laneSlot !== 0 && isDuplicate(state, records, index, laneSlot)) return REJECT.duplicateOrder;
  const { ints } = records;
  const at = index << COMMAND_INT_SHIFT;
  const market = state.markets[ints[at + ORDER_MARKET]!];
  if (market === undefined) return REJECT.unknownMarket;
  if (!takesOrders(state, market)) return REJECT.marketNotOpen;
  const terms = checkTerms(state, market, records, index);
  if (terms !== ACCEPT) return terms;
  const account = ints[at + OF_ACCOUNT]!;
  if (account < 0) return REJECT.insufficientBalance;
  const nonce = checkNonce(state, records, index, account, laneSlot, replaced);
  if (nonce !== ACCEPT) return nonce;
  const owner = checkAccount(state, market, records, index, account, replaced);
  if (owner !== ACCEPT) return owner;
  return checkBook(state, market, records, index, account, replaced);
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
  return value >= 1 && value <= max && Math.floor(value) === value;
}

function checkTerms(state: EngineState, market: MarketBook, records: CommandRecords, index: number): number {
  const at = index << COMMAND_INT_SHIFT;
  const floatAt = index << COMMAND_FLOAT_SHIFT;
  const size = records.floats[floatAt + ORDER_SIZE]!;
  const price = records.floats[floatAt + ORDER_PRICE]!;
  const { maxSizeLots, maxPriceTicks } = market.market;
  if (!isCount(size, maxSizeLots)) return size > maxSizeLots ? REJECT.sizeTooLarge : REJECT.sizeZero;
  const priceMax = Math.min(maxPriceTicks, PRICE_TICKS_MAX);
  if (!isCount(price, priceMax)) return price > priceMax ? REJECT.priceTooHigh : REJECT.priceZero;
  const notional = size * price * market.tickQuanta;
  // With room for the highest fee: what it locks, and what it can cost, stays below 2^53.
  if (notional * 1.05 >= Number.MAX_SAFE_INTEGER || size * market.lotQuanta >= Number.MAX_SAFE_INTEGER) {
    return REJECT.notionalTooLarge;
  }
  const { minNotional, priceBandPpm } = market.parameters;
  if (notional < minNotional) return REJECT.belowMinNotional;
  const fees = checkFees(state, market, records.ints, at);
  if (fees !== ACCEPT) return fees;
  if (priceBandPpm > 0 && market.lastPrice > 0) {
    if (Math.abs(price - market.lastPrice) * 1_000_000 > priceBandPpm * market.lastPrice)
      return REJECT.outsidePriceBand;
  }
  return checkTimes(
    state,
    records.floats[floatAt + ORDER_EXPIRY]!,
    records.floats[floatAt + OF_SEQUENCE]!,
    (records.ints[at + ORDER_FLAGS]! & FLAG_REGISTERED) !== 0,
  );
}

function checkFees(state: EngineState, market: MarketBook, ints: Int32Array, at: number): number {
  const maxFeePpm = ints[at + ORDER_MAX_FEE_PPM]!;
  const flags = ints[at + ORDER_FLAGS]!;
  const account = ints[at + OF_ACCOUNT]!;
  if (maxFeePpm > FEE_PPM_MAX) return REJECT.maxFeeTooHigh;
  const { makerFeePpm, takerFeePpm } = account < 0 ? market.parameters : feesOf(state, market, account);
  const postOnly = (flags & FLAG_POST_ONLY) !== 0;
  if (maxFeePpm < makerFeePpm || (!postOnly && maxFeePpm < takerFeePpm)) return REJECT.maxFeeTooLow;
  if (!postOnly) return ACCEPT;
  const timeInForce = timeInForceOf(flags);
  return timeInForce === IOC || timeInForce === FOK ? REJECT.postOnlyNotResting : ACCEPT;
}

function checkTimes(state: EngineState, expiry: number, orderSequence: number, registered: boolean): number {
  const { deployedAtMs, limits } = state.genesis!;
  const sinceDeploymentMs = state.nowMs - deployedAtMs;
  if (!(expiry * 1000 > state.nowMs)) return REJECT.expired;
  // Counted from the sequence as well as from now: the contract knows only the sequence.
  const bornMs = deployedAtMs + Math.min(orderSequence, sinceDeploymentMs);
  if (expiry > bornMs / 1000 + ORDER_LIFE_MAX_SECONDS) return REJECT.expiryTooFar;
  if (!isCount(orderSequence, ORDER_SEQUENCE_MAX))
    return orderSequence > 0 ? REJECT.sequenceInFuture : REJECT.sequenceTooOld;
  if (orderSequence > sinceDeploymentMs + SEQUENCE_AHEAD_MAX_MS) return REJECT.sequenceInFuture;
  if (!registered && orderSequence < sinceDeploymentMs - limits.orderAgeMaxMs) return REJECT.sequenceTooOld;
  return ACCEPT;
}

/** A new order's sequence is at least this, unless it is registered on chain. */
export function oldestSequence(state: EngineState): number {
  return state.nowMs - state.genesis!.deployedAtMs - state.genesis!.limits.orderAgeMaxMs;
}

function checkNonce(
  state: EngineState,
  records: CommandRecords,
  index: number,
  account: number,
  laneSlot: number,
  replaced: number,
): number {
  const orderSequence = records.floats[(index << COMMAND_FLOAT_SHIFT) + OF_SEQUENCE]!;
  if (orderSequence < state.accounts.figure(account, CANCELLED_BEFORE)) return REJECT.cancelledOnChain;
  if (records.ints[(index << COMMAND_INT_SHIFT) + ORDER_LANE]! > LANE_MAX) return REJECT.nonceSuperseded;
  // Of dropped lanes only the highest sequence is known. Other orders are younger, unless the limit on their age was raised since.
  if (laneSlot === 0)
    return orderSequence <= state.accounts.figure(account, DROPPED_SEQUENCE) ? REJECT.nonceSuperseded : ACCEPT;
  const used = state.lanes.sequence(laneSlot);
  if (orderSequence === used) return REJECT.nonceReused;
  if (orderSequence < used) return REJECT.nonceSuperseded;
  const live = state.lanes.order(laneSlot);
  return live !== 0 && live !== replaced ? REJECT.laneBusy : ACCEPT;
}

function checkAccount(
  state: EngineState,
  market: MarketBook,
  records: CommandRecords,
  index: number,
  account: number,
  replaced: number,
): number {
  const { accounts } = state;
  const sessionKey = records.signers[index]!;
  if ((records.ints[(index << COMMAND_INT_SHIFT) + ORDER_FLAGS]! & FLAG_REGISTERED) !== 0) {
    if (sessionKey !== '') return REJECT.sessionKeyNotValid;
    if (!state.registeredOrders.has(registration(state, records, index))) return REJECT.orderNotRegistered;
  } else if (sessionKey !== '') {
    const key = accounts.sessionKeys[account]?.get(sessionKey as Address);
    if (key === undefined || !sessionKeyAllows(key, market.index, state.nowMs / 1000)) return REJECT.sessionKeyNotValid;
  }
  if (accounts.exits[account] !== undefined) {
    if (accounts.hasExit(account, market.base) || accounts.hasExit(account, market.quote)) return REJECT.exitPending;
  }
  if (state.ledger.inDeficit(account)) return REJECT.accountInDeficit;
  const open = accounts.ints[(account << ACCOUNT_INT_SHIFT) + OPEN_ORDERS]! - (replaced === 0 ? 0 : 1);
  if (open >= state.genesis!.limits.openOrdersPerAccountMax) return REJECT.tooManyOpenOrders;
  if (state.pool.used >= ORDERS_MAX) return REJECT.bookFull;
  return ACCEPT;
}

function checkBook(
  state: EngineState,
  market: MarketBook,
  records: CommandRecords,
  index: number,
  account: number,
  replaced: number,
): number {
  const { ints, floats } = records;
  const at = index << COMMAND_INT_SHIFT;
  const flags = ints[at + ORDER_FLAGS]!;
  const side = flags & FLAG_SIDE;
  const price = floats[(index << COMMAND_FLOAT_SHIFT) + ORDER_PRICE]!;
  const size = floats[(index << COMMAND_FLOAT_SHIFT) + ORDER_SIZE]!;
  const waits = stopDirectionOf(flags) !== STOP_NONE;
  if (waits) {
    const stop = checkStop(market, flags, ints[at + ORDER_TRIGGER_PRICE]!);
    if (stop !== ACCEPT) return stop;
  } else if ((flags & FLAG_POST_ONLY) !== 0 && crosses(state, market, side, price, replaced)) {
    return REJECT.postOnlyWouldCross;
  }
  const asset = side === SELL ? market.base : market.quote;
  const slot = state.ledger.find(account, asset);
  let available = slot === 0 ? 0 : state.ledger.get(slot, AVAILABLE);
  if (replaced !== 0) available += lockReleasedBy(state, replaced, asset);
  const quanta = lockedFor(market, side, price, size, ints[at + ORDER_MAX_FEE_PPM]!);
  if (quanta > available) return REJECT.insufficientBalance;
  lock.quanta = quanta;
  lock.slot = slot;
  if (!waits && timeInForceOf(flags) === FOK) {
    if (!canFill(state, market, account, side, price, size, preventionOf(flags), replaced))
      return REJECT.fillOrKillUnfillable;
  }
  return ACCEPT;
}

function checkStop(market: MarketBook, flags: number, triggerPrice: number): number {
  if (triggerPrice < 1 || (flags & FLAG_POST_ONLY) !== 0) return REJECT.badStop;
  if (market.lastPrice > 0) {
    const reached =
      stopDirectionOf(flags) === STOP_AT_OR_ABOVE ? market.lastPrice >= triggerPrice : market.lastPrice <= triggerPrice;
    if (reached) return REJECT.stopWouldTrigger;
  }
  return market.stops.count >= STOPS_PER_MARKET_MAX ? REJECT.bookFull : ACCEPT;
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
    state.pool.lifeInts[(id << LIFE_INT_SHIFT) + MAX_FEE_PPM]!,
  );
}

function registration(state: EngineState, { ints }: CommandRecords, index: number): string {
  const at = index << COMMAND_INT_SHIFT;
  return `${state.accounts.addresses[ints[at + OF_ACCOUNT]!]}:${readDigest(ints, at + ORDER_DIGEST)}`;
}

/** Nothing can refuse it any more: takes the lane, locks, replaces, matches or waits. */
function admit(state: EngineState, records: CommandRecords, index: number, laneSlot: number, replaced: number): void {
  const { ledger, sink, pool } = state;
  const { ints } = records;
  const at = index << COMMAND_INT_SHIFT;
  const market = state.markets[ints[at + ORDER_MARKET]!]!;
  const flags = ints[at + ORDER_FLAGS]!;
  if ((flags & FLAG_REGISTERED) !== 0) state.registeredOrders.delete(registration(state, records, index));
  const slot = laneSlot === 0 ? openLane(state, ints[at + OF_ACCOUNT]!, ints[at + ORDER_LANE]!) : laneSlot;
  const id = writeOrder(state, records, index, slot);
  const keepsPlace = replaced !== 0 && mayKeepPlace(state, id, replaced);
  if (replaced !== 0) endReplaced(state, replaced, id, keepsPlace);
  const orderSequence = records.floats[(index << COMMAND_FLOAT_SHIFT) + OF_SEQUENCE]!;
  state.lanes.use(slot, orderSequence, ints, at + ORDER_DIGEST);
  // The balance exists: an order locks something.
  ledger.lock(lock.slot, lock.quanta);
  const accepted = sink.write(ACCEPTED, id, 0, 0);
  if (stopDirectionOf(flags) !== STOP_NONE) {
    pool.lifeInts[(id << LIFE_INT_SHIFT) + STATE] = STATE_STOP;
    market.stops.insert(id);
    linkOrder(state, id);
    return;
  }
  if (keepsPlace) {
    pool.lifeInts[(id << LIFE_INT_SHIFT) + STATE] = STATE_RESTING;
    linkOrder(state, id);
    sink.level(market.index, flags & FLAG_SIDE, pool.ints[(id << INT_SHIFT) + PRICE]!);
    sink.patch(accepted, pool.floats[(id << FLOAT_SHIFT) + REMAINING]!);
    return;
  }
  sink.patch(accepted, runTaker(state, market, id, false));
}

function openLane(state: EngineState, account: number, lane: number): number {
  state.lanes.sweepIfDue(oldestSequence(state), state.pool, state.accounts);
  return state.lanes.open(account, lane, state.accounts);
}

function writeOrder(state: EngineState, records: CommandRecords, index: number, laneSlot: number): number {
  const { pool } = state;
  const id = pool.allocate();
  const from = records.ints;
  const fromFloats = records.floats;
  const fromAt = index << COMMAND_INT_SHIFT;
  const fromFloatAt = index << COMMAND_FLOAT_SHIFT;
  const { ints, lifeInts, lifeFloats, termInts, termFloats } = pool;
  const sessionKey = records.signers[index]!;
  const size = fromFloats[fromFloatAt + ORDER_SIZE]!;
  const at = id << INT_SHIFT;
  ints[at + PRICE] = fromFloats[fromFloatAt + ORDER_PRICE]!;
  ints[at + ACCOUNT] = from[fromAt + OF_ACCOUNT]!;
  ints[at + FLAGS] = (from[fromAt + ORDER_FLAGS]! & ~FLAG_REGISTERED) | (sessionKey === '' ? 0 : FLAG_SESSION_KEY);
  ints[at + MARKET] = from[fromAt + ORDER_MARKET]!;
  pool.floats[(id << FLOAT_SHIFT) + REMAINING] = size;
  const lifeAt = id << LIFE_INT_SHIFT;
  lifeInts[lifeAt + STATE] = STATE_MATCHING;
  lifeInts[lifeAt + LANE_SLOT] = laneSlot;
  lifeInts[lifeAt + MAX_FEE_PPM] = from[fromAt + ORDER_MAX_FEE_PPM]!;
  lifeInts[lifeAt + REFERENCES] = 0;
  const lifeFloatAt = id << LIFE_FLOAT_SHIFT;
  lifeFloats[lifeFloatAt + FILLED] = 0;
  lifeFloats[lifeFloatAt + PLACED_AT] = state.sequence;
  const expiry = fromFloats[fromFloatAt + ORDER_EXPIRY]!;
  lifeFloats[lifeFloatAt + DUE] =
    sessionKey === '' ? expiry : dueOf(state, from[fromAt + OF_ACCOUNT]!, sessionKey, expiry);
  const termAt = id << TERM_INT_SHIFT;
  termInts[termAt + LANE] = from[fromAt + ORDER_LANE]!;
  termInts[termAt + TRIGGER_PRICE] = from[fromAt + ORDER_TRIGGER_PRICE]!;
  copyDigest(termInts, termAt + DIGEST, from, fromAt + ORDER_DIGEST);
  const termFloatAt = id << TERM_FLOAT_SHIFT;
  termFloats[termFloatAt + SIZE] = size;
  termFloats[termFloatAt + ORDER_SEQUENCE] = fromFloats[fromFloatAt + OF_SEQUENCE]!;
  termFloats[termFloatAt + EXPIRY] = expiry;
  if (sessionKey !== '') pool.signers.set(id, sessionKey);
  return id;
}

/** When the order must be looked at: at its expiry, or when the session key that signed it ends, if sooner. */
function dueOf(state: EngineState, account: number, sessionKey: string, expiry: number): number {
  const key = state.accounts.sessionKeys[account]!.get(sessionKey as Address)!;
  return Math.min(expiry, key.validUntil);
}

function mayKeepPlace(state: EngineState, id: number, replaced: number): boolean {
  const { ints, floats } = state.pool;
  const at = id << INT_SHIFT;
  const old = replaced << INT_SHIFT;
  const waits = stopDirectionOf(ints[at + FLAGS]!) !== STOP_NONE;
  const timeInForce = timeInForceOf(ints[at + FLAGS]!);
  const rests = timeInForce !== IOC && timeInForce !== FOK;
  return (
    state.pool.lifeInts[(replaced << LIFE_INT_SHIFT) + STATE] === STATE_RESTING &&
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
    const { lifeFloats } = state.pool;
    lifeFloats[(id << LIFE_FLOAT_SHIFT) + PRIORITY] = lifeFloats[(replaced << LIFE_FLOAT_SHIFT) + PRIORITY]!;
    market.book.takePlace(replaced, id);
  } else leaveBook(state, market, replaced);
  unlinkOrder(state, replaced);
  closeOrder(state, replaced, STATUS_CANCELLED, REPLACED);
}
