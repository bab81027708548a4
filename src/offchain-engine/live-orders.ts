/** Entry and end of live orders (resting, or stops that wait): lane, account list, deadline and lock always together. */
import * as accountTable from './accounts.ts';
import * as orders from './book/order-pool.ts';
import * as sinkRecords from './event-sink.ts';
import { lockedFor } from './lock.ts';
import type { EngineState, MarketBook } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { ACCOUNT_INT_SHIFT, OPEN_ORDERS } = accountTable;
const {
  ACCOUNT,

  FILLED,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  INT_SHIFT,
  LANE_SLOT,
  LIFE_FLOAT_SHIFT,
  LIFE_INT_SHIFT,
  MARKET,
  MAX_FEE_PPM,
  PLACED_AT,
  PRICE,
  REFERENCES,
  REMAINING,
  SELL,
  STATE,
  STATE_DONE,
  STATE_RESTING,
  STATE_STOP,
  STATE_TRIGGERED,
} = orders;
const { DONE } = sinkRecords;

/** Registers a live order with its lane, its account and the deadline wheel. STATE is set by the caller. */
export function linkOrder(state: EngineState, id: number): void {
  const { pool, accounts, lanes } = state;
  const account = pool.ints[(id << INT_SHIFT) | ACCOUNT]!;
  lanes.takeBy(pool.lifeInts[(id << LIFE_INT_SHIFT) | LANE_SLOT]!, id, account, accounts);
  accounts.ints[(account << ACCOUNT_INT_SHIFT) | OPEN_ORDERS]!++;
  state.deadlines.insert(id);
}

/** Undoes `linkOrder`. */
export function unlinkOrder(state: EngineState, id: number): void {
  const { pool, accounts, lanes } = state;
  const account = pool.ints[(id << INT_SHIFT) | ACCOUNT]!;
  lanes.free(pool.lifeInts[(id << LIFE_INT_SHIFT) | LANE_SLOT]!);
  accounts.ints[(account << ACCOUNT_INT_SHIFT) | OPEN_ORDERS]!--;
  state.deadlines.remove(id);
}

/** Says that the order is done and forgets it, or keeps its terms for as long as unsealed trades name it. */
export function closeOrder(state: EngineState, id: number, status: number, cancelCode: number): void {
  const { pool } = state;
  const lifeAt = id << LIFE_INT_SHIFT;
  state.sink.write(DONE, id, status * 64 + cancelCode, pool.lifeFloats[(id << LIFE_FLOAT_SHIFT) | FILLED]!);
  pool.lifeInts[lifeAt | STATE] = STATE_DONE;
  if (pool.lifeInts[lifeAt | REFERENCES] === 0) pool.release(id);
}

/** Gives back what the order has locked for the lots it has left. */
export function releaseLock(state: EngineState, market: MarketBook, id: number): void {
  const ints = state.pool.ints;
  const at = id << INT_SHIFT;
  const side = ints[at | FLAGS]! & FLAG_SIDE;
  const left = state.pool.floats[(id << FLOAT_SHIFT) | REMAINING]!;
  const amount = lockedFor(
    market,
    side,
    ints[at | PRICE]!,
    left,
    state.pool.lifeInts[(id << LIFE_INT_SHIFT) | MAX_FEE_PPM]!,
  );
  const slot = state.ledger.slot(ints[at | ACCOUNT]!, side === SELL ? market.base : market.quote);
  state.ledger.unlock(slot, amount);
}

/** Ends a live order before it is filled: out of the book, lock released, lane free. */
export function endLiveOrder(state: EngineState, id: number, status: number, cancelCode: number): void {
  const ints = state.pool.ints;
  const at = id << INT_SHIFT;
  const market = state.markets[ints[at | MARKET]!]!;
  leaveBook(state, market, id);
  releaseLock(state, market, id);
  unlinkOrder(state, id);
  closeOrder(state, id, status, cancelCode);
}

/** Takes a live order out of whatever it waits in. */
export function leaveBook(state: EngineState, market: MarketBook, id: number): void {
  const ints = state.pool.ints;
  const at = id << INT_SHIFT;
  switch (state.pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE]) {
    case STATE_RESTING:
      market.book.remove(id);
      state.sink.level(market.index, ints[at | FLAGS]! & FLAG_SIDE, ints[at | PRICE]!);
      return;
    case STATE_STOP:
      market.stops.remove(id);
      return;
    case STATE_TRIGGERED:
      state.triggered.splice(state.triggered.indexOf(id), 1);
      return;
    default:
      throw new Error(`order ${id} is not live`);
  }
}

/** Ids of the account's live orders that `wanted` selects, oldest first. */
export function liveOrdersOf(state: EngineState, account: number, wanted: (id: number) => boolean): number[] {
  const ids: number[] = [];
  state.lanes.collectOrders(account, state.accounts, ids);
  return byArrival(state, ids.filter(wanted));
}

/** Sorts ids by arrival, the one order that does not depend on ids. */
export function byArrival(state: EngineState, ids: number[]): number[] {
  const { lifeFloats } = state.pool;
  return ids.sort(
    (a, b) => lifeFloats[(a << LIFE_FLOAT_SHIFT) | PLACED_AT]! - lifeFloats[(b << LIFE_FLOAT_SHIFT) | PLACED_AT]!,
  );
}
