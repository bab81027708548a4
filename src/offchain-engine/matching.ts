/**
 * Price-time matching of one taker against the book.
 *
 * A trade executes at the maker's limit price. Buyer pays notional + fee, seller receives notional − fee, both in quote.
 * Before any trade the makers' accounts are compared with the taker's: an order never trades with its own account.
 * A run ends after `BATCH_TRADES_MAX` trades: then all fills of an order fit one batch, which an IOC or FOK needs; whatever
 * is left of the taker is cancelled (`too_many_trades`), since resting it would cross the book.
 */
import * as batchTerms from '../domain/batches.ts';
import { feeOf, type Ppm, type Quanta } from '../domain/units.ts';
import * as accountTable from './accounts.ts';
import * as orders from './book/order-pool.ts';
import { preventionOf, timeInForceOf } from './book/order-pool.ts';
import { cancellation } from './codes.ts';
import * as sinkRecords from './event-sink.ts';
import { feesOf } from './fees.ts';
import * as balances from './ledger.ts';
import { closeOrder, endLiveOrder, linkOrder, releaseLock, unlinkOrder } from './live-orders.ts';
import { lockedFor } from './lock.ts';
import type { EngineState, MarketBook } from './state.ts';
import * as tradeLog from './trades.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { BATCH_TRADES_MAX } = batchTerms;
const { FEE_ACCOUNT } = accountTable;
const {
  ACCOUNT,
  BUY,
  CANCEL_BOTH,
  CANCEL_NEWEST,
  CANCEL_OLDEST,
  FILLED,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  FOK,
  INT_SHIFT,
  IOC,
  LIFE_FLOAT_SHIFT,
  LIFE_INT_SHIFT,
  MAX_FEE_PPM,
  NEXT,
  PRICE,
  PRIORITY,
  REFERENCES,
  REMAINING,
  SELL,
  STATE,
  STATE_RESTING,
  STATE_TRIGGERED,
} = orders;
const { REDUCED, STATUS_CANCELLED, STATUS_FILLED, TRADED } = sinkRecords;
const { AVAILABLE, BALANCE_SHIFT, LOCKED, UNSETTLED_IN, UNSETTLED_OUT } = balances;
const {
  MAKER,
  MAKER_FEE_PPM,
  TAKER,
  TAKER_FEE_PPM,
  TRADE_FLAGS,
  TRADE_FLOAT_SHIFT,
  TRADE_ID,
  TRADE_INT_SHIFT,
  TRADE_MARKET,
  TRADE_PRICE,
  TRADE_SIZE,
  TRADE_STARTS_RUN,
  TRADE_TIME_MS,
} = tradeLog;

const NONE = 0;
const IOC_REMAINDER = cancellation('ioc_remainder');
const TOO_MANY_TRADES = cancellation('too_many_trades');
const SELF_TRADE_PREVENTION = cancellation('self_trade_prevention');

/** Sums of one taker's run, in quanta; reused, since only one taker runs at a time. */
const run = { trades: 0, firstPrice: 0, lastPrice: 0, base: 0, quote: 0, takerFees: 0, fees: 0 };

/**
 * Runs the order `id` (its lock in place) against the book, then rests or ends what is left.
 * @param linked whether it is registered with lane, account and deadlines already (a stop that was triggered).
 * @returns lots resting afterwards.
 */
export function runTaker(state: EngineState, market: MarketBook, id: number, linked: boolean): number {
  const { pool } = state;
  const at = id << INT_SHIFT;
  const side = pool.ints[at | FLAGS]! & FLAG_SIDE;
  const price = pool.ints[at | PRICE]!;
  const maxFeePpm = pool.lifeInts[(id << LIFE_INT_SHIFT) | MAX_FEE_PPM]!;
  const before = pool.floats[(id << FLOAT_SHIFT) | REMAINING]!;
  const cancelCode = takeLiquidity(state, market, id, side, price, before);
  const left = pool.floats[(id << FLOAT_SHIFT) | REMAINING]!;
  if (left !== before)
    postTaker(
      state,
      market,
      id,
      side,
      lockedFor(market, side, price, before, maxFeePpm) - lockedFor(market, side, price, left, maxFeePpm),
    );
  if (run.trades > 0) triggerStops(state, market);

  if (left === 0 && cancelCode === NONE) {
    if (linked) unlinkOrder(state, id);
    closeOrder(state, id, STATUS_FILLED, NONE);
    return 0;
  }
  if (cancelCode !== NONE) {
    if (left > 0) releaseLock(state, market, id);
    if (linked) unlinkOrder(state, id);
    closeOrder(state, id, STATUS_CANCELLED, cancelCode);
    return 0;
  }
  if (!linked) linkOrder(state, id);
  restOrder(state, market, id, side, price);
  return left;
}

function restOrder(state: EngineState, market: MarketBook, id: number, side: number, price: number): void {
  state.pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE] = STATE_RESTING;
  state.pool.lifeFloats[(id << LIFE_FLOAT_SHIFT) | PRIORITY] = state.takePriority();
  market.book.insert(id);
  state.sink.level(market.index, side, price);
}

/** Matches until price, size, self-trade prevention or the bound on trades ends it. @returns why the rest is cancelled, if it is. */
function takeLiquidity(
  state: EngineState,
  market: MarketBook,
  id: number,
  side: number,
  price: number,
  size: number,
): number {
  const { pool, sink } = state;
  const { ints, floats } = pool;
  const book = market.book;
  const makerSide = side ^ 1;
  const account = ints[(id << INT_SHIFT) | ACCOUNT]!;
  const floatAt = id << FLOAT_SHIFT;
  run.trades = 0;
  run.base = 0;
  run.quote = 0;
  run.takerFees = 0;
  run.fees = 0;
  let left = size;
  let cancelCode = NONE;
  while (left > 0) {
    const best = side === BUY ? book.bestAsk : book.bestBid;
    if (best === 0 || (side === BUY ? best > price : best < price)) break;
    const maker = book.head(makerSide);
    if (ints[(maker << INT_SHIFT) | ACCOUNT] === account) {
      cancelCode = preventSelfTrade(state, market, id, maker, left);
      left = floats[floatAt | REMAINING]!;
      if (cancelCode !== NONE) break;
      continue;
    }
    if (run.trades === BATCH_TRADES_MAX) {
      cancelCode = TOO_MANY_TRADES;
      break;
    }
    const makerLeft = floats[(maker << FLOAT_SHIFT) | REMAINING]!;
    const traded = Math.min(left, makerLeft);
    left -= traded;
    recordTrade(state, market, id, maker, side, best, traded);
    sink.level(market.index, makerSide, best);
    fillMaker(state, market, maker, traded, makerLeft);
  }
  floats[floatAt | REMAINING] = left;
  if (cancelCode === NONE && left > 0) {
    const timeInForce = timeInForceOf(ints[(id << INT_SHIFT) | FLAGS]!);
    if (timeInForce === IOC || timeInForce === FOK) cancelCode = IOC_REMAINDER;
  }
  return cancelCode;
}

/** Appends the trade, and adds it to the sums of the run. */
function recordTrade(
  state: EngineState,
  market: MarketBook,
  taker: number,
  maker: number,
  takerSide: number,
  price: number,
  size: number,
): void {
  const { pool, trades } = state;
  const position = trades.append();
  const at = position << TRADE_INT_SHIFT;
  const lifeTakerAt = taker << LIFE_INT_SHIFT;
  const lifeMakerAt = maker << LIFE_INT_SHIFT;
  const { takerFeePpm } = feesOf(state, market, pool.ints[(taker << INT_SHIFT) | ACCOUNT]!);
  const { makerFeePpm } = feesOf(state, market, pool.ints[(maker << INT_SHIFT) | ACCOUNT]!);
  const takerPpm = Math.min(takerFeePpm, pool.lifeInts[lifeTakerAt | MAX_FEE_PPM]!);
  const makerPpm = Math.min(makerFeePpm, pool.lifeInts[lifeMakerAt | MAX_FEE_PPM]!);
  trades.ints[at | TAKER] = taker;
  trades.ints[at | MAKER] = maker;
  trades.ints[at | TRADE_PRICE] = price;
  trades.ints[at | TRADE_FLAGS] = takerSide | (run.trades === 0 ? TRADE_STARTS_RUN : 0);
  trades.ints[at | TAKER_FEE_PPM] = takerPpm;
  trades.ints[at | MAKER_FEE_PPM] = makerPpm;
  trades.ints[at | TRADE_MARKET] = market.index;
  const floatAt = position << TRADE_FLOAT_SHIFT;
  trades.floats[floatAt | TRADE_SIZE] = size;
  trades.floats[floatAt | TRADE_TIME_MS] = state.nowMs;
  trades.floats[floatAt | TRADE_ID] = state.nextTradeId++;
  pool.lifeInts[lifeTakerAt | REFERENCES]!++;
  pool.lifeInts[lifeMakerAt | REFERENCES]!++;
  pool.lifeFloats[(taker << LIFE_FLOAT_SHIFT) | FILLED]! += size;
  pool.lifeFloats[(maker << LIFE_FLOAT_SHIFT) | FILLED]! += size;
  if (state.unsettledSinceMs > state.nowMs) state.unsettledSinceMs = state.nowMs;
  if (run.trades === 0) run.firstPrice = price;
  run.lastPrice = price;
  run.trades++;
  state.sink.write(TRADED, position + trades.moved, 0, 0);

  const notional = size * price * market.tickQuanta;
  const takerFee = feeOf(notional as Quanta, takerPpm as Ppm);
  run.base += size * market.lotQuanta;
  run.quote += notional;
  run.takerFees += takerFee;
  run.fees += takerFee + postMaker(state, market, maker, takerSide ^ 1, price, size, notional, makerPpm);
}

/** Posts the maker's side of a trade; its lock shrinks with what it has left. @returns the maker's fee. */
function postMaker(
  state: EngineState,
  market: MarketBook,
  maker: number,
  side: number,
  price: number,
  size: number,
  notional: number,
  feePpm: number,
): number {
  const { ledger, pool } = state;
  const account = pool.ints[(maker << INT_SHIFT) | ACCOUNT]!;
  const fee = feeOf(notional as Quanta, feePpm as Ppm);
  const baseSlot = ledger.slot(account, market.base);
  const quoteSlot = ledger.slot(account, market.quote);
  const base = size * market.lotQuanta;
  const records = ledger.records;
  const baseAt = baseSlot << BALANCE_SHIFT;
  const quoteAt = quoteSlot << BALANCE_SHIFT;
  if (side === SELL) {
    records[baseAt | LOCKED]! -= base;
    records[baseAt | UNSETTLED_OUT]! += base;
    records[quoteAt | AVAILABLE]! += notional - fee;
    records[quoteAt | UNSETTLED_IN]! += notional - fee;
  } else {
    const maxFeePpm = pool.lifeInts[(maker << LIFE_INT_SHIFT) | MAX_FEE_PPM]!;
    const before = pool.floats[(maker << FLOAT_SHIFT) | REMAINING]!;
    const released =
      lockedFor(market, BUY, price, before, maxFeePpm) - lockedFor(market, BUY, price, before - size, maxFeePpm);
    records[quoteAt | LOCKED]! -= released;
    records[quoteAt | AVAILABLE]! += released - notional - fee;
    records[quoteAt | UNSETTLED_OUT]! += notional + fee;
    records[baseAt | AVAILABLE]! += base;
    records[baseAt | UNSETTLED_IN]! += base;
  }
  ledger.touch(baseSlot);
  ledger.touch(quoteSlot);
  return fee;
}

function fillMaker(state: EngineState, market: MarketBook, maker: number, traded: number, makerLeft: number): void {
  if (traded < makerLeft) {
    market.book.reduce(maker, traded);
    return;
  }
  market.book.remove(maker);
  state.pool.floats[(maker << FLOAT_SHIFT) | REMAINING] = 0;
  unlinkOrder(state, maker);
  closeOrder(state, maker, STATUS_FILLED, NONE);
}

/** Posts the sums of a run to the taker and to the fee account. @param released what its lock shrinks by. */
function postTaker(state: EngineState, market: MarketBook, id: number, side: number, released: number): void {
  const { ledger, pool } = state;
  const account = pool.ints[(id << INT_SHIFT) | ACCOUNT]!;
  const baseSlot = ledger.slot(account, market.base);
  const quoteSlot = ledger.slot(account, market.quote);
  const feeSlot = ledger.slot(FEE_ACCOUNT, market.quote);
  const records = ledger.records;
  const baseAt = baseSlot << BALANCE_SHIFT;
  const quoteAt = quoteSlot << BALANCE_SHIFT;
  if (side === SELL) {
    const proceeds = run.quote - run.takerFees;
    records[baseAt | LOCKED]! -= released;
    records[baseAt | AVAILABLE]! += released - run.base;
    records[baseAt | UNSETTLED_OUT]! += run.base;
    records[quoteAt | AVAILABLE]! += proceeds;
    records[quoteAt | UNSETTLED_IN]! += proceeds;
  } else {
    const cost = run.quote + run.takerFees;
    records[quoteAt | LOCKED]! -= released;
    records[quoteAt | AVAILABLE]! += released - cost;
    records[quoteAt | UNSETTLED_OUT]! += cost;
    records[baseAt | AVAILABLE]! += run.base;
    records[baseAt | UNSETTLED_IN]! += run.base;
  }
  ledger.touch(baseSlot);
  ledger.touch(quoteSlot);
  if (run.fees === 0) return;
  records[(feeSlot << BALANCE_SHIFT) + AVAILABLE]! += run.fees;
  records[(feeSlot << BALANCE_SHIFT) + UNSETTLED_IN]! += run.fees;
  ledger.touch(feeSlot);
}

/** The maker belongs to the taker's account: ends or shrinks one or both. @returns why the taker ends, or 0 to go on. */
function preventSelfTrade(state: EngineState, market: MarketBook, taker: number, maker: number, left: number): number {
  const { pool, sink } = state;
  const takerAt = taker << FLOAT_SHIFT;
  const prevention = preventionOf(pool.ints[(taker << INT_SHIFT) | FLAGS]!);
  pool.floats[takerAt | REMAINING] = left;
  if (prevention === CANCEL_NEWEST) return SELF_TRADE_PREVENTION;
  if (prevention === CANCEL_OLDEST || prevention === CANCEL_BOTH) {
    endLiveOrder(state, maker, STATUS_CANCELLED, SELF_TRADE_PREVENTION);
    return prevention === CANCEL_BOTH ? SELF_TRADE_PREVENTION : NONE;
  }
  const makerLeft = pool.floats[(maker << FLOAT_SHIFT) | REMAINING]!;
  const decrement = Math.min(left, makerLeft);
  if (makerLeft === decrement) endLiveOrder(state, maker, STATUS_CANCELLED, SELF_TRADE_PREVENTION);
  else shrinkMaker(state, market, maker, decrement, makerLeft);
  pool.floats[takerAt | REMAINING] = left - decrement;
  if (left === decrement) return SELF_TRADE_PREVENTION;
  sink.write(REDUCED, taker, left - decrement, 0);
  return NONE;
}

function shrinkMaker(
  state: EngineState,
  market: MarketBook,
  maker: number,
  decrement: number,
  makerLeft: number,
): void {
  const ints = state.pool.ints;
  const at = maker << INT_SHIFT;
  const side = ints[at | FLAGS]! & FLAG_SIDE;
  const price = ints[at | PRICE]!;
  const maxFeePpm = state.pool.lifeInts[(maker << LIFE_INT_SHIFT) | MAX_FEE_PPM]!;
  const freed =
    lockedFor(market, side, price, makerLeft, maxFeePpm) -
    lockedFor(market, side, price, makerLeft - decrement, maxFeePpm);
  state.ledger.unlock(state.ledger.slot(ints[at | ACCOUNT]!, side === SELL ? market.base : market.quote), freed);
  market.book.reduce(maker, decrement);
  state.sink.level(market.index, side, price);
  state.sink.write(REDUCED, maker, makerLeft - decrement, 0);
}

/** Remembers the last price and queues the stop orders that the run's trades reached. */
function triggerStops(state: EngineState, market: MarketBook): void {
  market.lastPrice = run.lastPrice;
  if (market.stops.count === 0) return;
  const low = Math.min(run.firstPrice, run.lastPrice);
  const high = Math.max(run.firstPrice, run.lastPrice);
  queueTriggered(state, market.stops.takeTriggered(low, high));
}

function queueTriggered(state: EngineState, ids: readonly number[]): void {
  for (const id of ids) {
    state.pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE] = STATE_TRIGGERED;
    state.triggered.push(id);
  }
}

/**
 * Whether a fill-or-kill order can fill whole now: lots of other accounts at or better than `price`, in no more trades than
 * one batch takes. Orders of its own account end the count where self-trade prevention would end or shrink the taker.
 * @param excluded id of an order that will be gone by then (replaced), or 0.
 */
export function canFill(
  state: EngineState,
  market: MarketBook,
  account: number,
  side: number,
  price: number,
  size: number,
  prevention: number,
  excluded: number,
): boolean {
  const { ints, floats } = state.pool;
  const book = market.book;
  const makerSide = side ^ 1;
  let left = size;
  let trades = 0;
  for (let level = side === BUY ? book.bestAsk : book.bestBid; level !== 0; level = book.nextPrice(makerSide, level)) {
    if (side === BUY ? level > price : level < price) return false;
    for (let id = book.headAt(makerSide, level); id !== 0; id = ints[(id << INT_SHIFT) | NEXT]!) {
      if (id === excluded) continue;
      if (ints[(id << INT_SHIFT) | ACCOUNT] === account) {
        if (prevention === CANCEL_OLDEST) continue;
        return false;
      }
      left -= floats[(id << FLOAT_SHIFT) | REMAINING]!;
      trades++;
      if (left <= 0) return true;
      if (trades === BATCH_TRADES_MAX) return false;
    }
  }
  return false;
}
