/** Every check that can refuse an order, in the order in which reasons are told; none of them changes anything. */
import type { Address } from '../domain/units.ts';
import * as units from '../domain/units.ts';
import * as accountTable from './accounts.ts';
import { sessionKeyAllows } from './accounts.ts';
import * as orders from './book/order-pool.ts';
import { preventionOf, stopDirectionOf, timeInForceOf } from './book/order-pool.ts';
import { rejection } from './codes.ts';
import type { CommandRecords } from './command-records.ts';
import * as records from './command-records.ts';
import { readDigest } from './digest-words.ts';
import { feesOf } from './fees.ts';
import * as balances from './ledger.ts';
import { lockedFor } from './lock.ts';
import { canFill } from './matching.ts';
import type { EngineState, MarketBook } from './state.ts';
import * as stateModule from './state.ts';
import * as stopBook from './stop-book.ts';
import * as tradeLog from './trades.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FEE_PPM_MAX, LANE_MAX, ORDER_SEQUENCE_MAX, PRICE_TICKS_MAX } = units;
const { ACCOUNT_INT_SHIFT, CANCELLED_BEFORE, DROPPED_SEQUENCE, OPEN_ORDERS } = accountTable;
const {
  BUY,
  FLAG_POST_ONLY,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  FOK,
  INT_SHIFT,
  IOC,
  LIFE_INT_SHIFT,
  MARKET,
  MAX_FEE_PPM,
  PRICE,
  REMAINING,
  SELL,
  STOP_AT_OR_ABOVE,
  STOP_NONE,
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
} = records;
const { AVAILABLE } = balances;
const { ORDER_LIFE_MAX_SECONDS, ORDERS_MAX, SEQUENCE_AHEAD_MAX_MS } = stateModule;
const { STOPS_PER_MARKET_MAX } = stopBook;
const { UNSEALED_TRADES_MAX } = tradeLog;

/** Not refused. */
export const ACCEPT = 0;
export const REJECT = {
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
export const lock = { quanta: 0, slot: 0 };

/** Id of the live order with that nonce; 0 when there is none. */
export function findLiveOrder(state: EngineState, account: number, lane: number, orderSequence: number): number {
  if (account < 0 || lane > LANE_MAX) return 0;
  const slot = state.lanes.find(account, lane);
  return slot !== 0 && state.lanes.sequence(slot) === orderSequence ? state.lanes.order(slot) : 0;
}

export function isDuplicate({ lanes }: EngineState, records: CommandRecords, index: number, laneSlot: number): boolean {
  return (
    lanes.sequence(laneSlot) === records.floats[(index << COMMAND_FLOAT_SHIFT) | OF_SEQUENCE] &&
    lanes.hasDigest(laneSlot, records.ints, (index << COMMAND_INT_SHIFT) + ORDER_DIGEST)
  );
}

export function check(
  state: EngineState,
  records: CommandRecords,
  index: number,
  laneSlot: number,
  replaced: number,
): number {
  if (laneSlot !== 0 && isDuplicate(state, records, index, laneSlot)) return REJECT.duplicateOrder;
  const { ints } = records;
  const at = index << COMMAND_INT_SHIFT;
  const market = state.markets[ints[at | ORDER_MARKET]!];
  if (market === undefined) return REJECT.unknownMarket;
  if (!takesOrders(state, market)) return REJECT.marketNotOpen;
  const terms = checkTerms(state, market, records, index);
  if (terms !== ACCEPT) return terms;
  const account = ints[at | OF_ACCOUNT]!;
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
  const size = records.floats[floatAt | ORDER_SIZE]!;
  const price = records.floats[floatAt | ORDER_PRICE]!;
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
    records.floats[floatAt | ORDER_EXPIRY]!,
    records.floats[floatAt | OF_SEQUENCE]!,
    (records.ints[at | ORDER_FLAGS]! & FLAG_REGISTERED) !== 0,
  );
}

function checkFees(state: EngineState, market: MarketBook, ints: Int32Array, at: number): number {
  const maxFeePpm = ints[at | ORDER_MAX_FEE_PPM]!;
  const flags = ints[at | ORDER_FLAGS]!;
  const account = ints[at | OF_ACCOUNT]!;
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
  const orderSequence = records.floats[(index << COMMAND_FLOAT_SHIFT) | OF_SEQUENCE]!;
  if (orderSequence < state.accounts.figure(account, CANCELLED_BEFORE)) return REJECT.cancelledOnChain;
  if (records.ints[(index << COMMAND_INT_SHIFT) | ORDER_LANE]! > LANE_MAX) return REJECT.nonceSuperseded;
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
  if ((records.ints[(index << COMMAND_INT_SHIFT) | ORDER_FLAGS]! & FLAG_REGISTERED) !== 0) {
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
  const open = accounts.ints[(account << ACCOUNT_INT_SHIFT) | OPEN_ORDERS]! - (replaced === 0 ? 0 : 1);
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
  const flags = ints[at | ORDER_FLAGS]!;
  const side = flags & FLAG_SIDE;
  const price = floats[(index << COMMAND_FLOAT_SHIFT) | ORDER_PRICE]!;
  const size = floats[(index << COMMAND_FLOAT_SHIFT) | ORDER_SIZE]!;
  const waits = stopDirectionOf(flags) !== STOP_NONE;
  if (waits) {
    const stop = checkStop(market, flags, ints[at | ORDER_TRIGGER_PRICE]!);
    if (stop !== ACCEPT) return stop;
  } else if ((flags & FLAG_POST_ONLY) !== 0 && crosses(state, market, side, price, replaced)) {
    return REJECT.postOnlyWouldCross;
  }
  const asset = side === SELL ? market.base : market.quote;
  const slot = state.ledger.find(account, asset);
  let available = slot === 0 ? 0 : state.ledger.get(slot, AVAILABLE);
  if (replaced !== 0) available += lockReleasedBy(state, replaced, asset);
  const quanta = lockedFor(market, side, price, size, ints[at | ORDER_MAX_FEE_PPM]!);
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
    book.sizeAt(side ^ 1, best) === state.pool.floats[(replaced << FLOAT_SHIFT) | REMAINING]!
  ) {
    best = book.nextPrice(side ^ 1, best);
  }
  return best !== 0 && (side === BUY ? best <= price : best >= price);
}

function lockReleasedBy(state: EngineState, id: number, asset: number): number {
  const ints = state.pool.ints;
  const at = id << INT_SHIFT;
  const market = state.markets[ints[at | MARKET]!]!;
  const side = ints[at | FLAGS]! & FLAG_SIDE;
  if ((side === SELL ? market.base : market.quote) !== asset) return 0;
  return lockedFor(
    market,
    side,
    ints[at | PRICE]!,
    state.pool.floats[(id << FLOAT_SHIFT) | REMAINING]!,
    state.pool.lifeInts[(id << LIFE_INT_SHIFT) | MAX_FEE_PPM]!,
  );
}

export function registration(state: EngineState, { ints }: CommandRecords, index: number): string {
  const at = index << COMMAND_INT_SHIFT;
  return `${state.accounts.addresses[ints[at | OF_ACCOUNT]!]}:${readDigest(ints, at + ORDER_DIGEST)}`;
}
