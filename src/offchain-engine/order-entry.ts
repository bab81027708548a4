/**
 * Entry of orders: every check that can refuse one, then placement. A refused order changes nothing, not even its lane.
 *
 * A nonce names one order. The same order again (same digest) is refused as `duplicate_order`, so that a resend is told
 * apart from a second order under the nonce (`nonce_reused`); in both cases the first one is untouched.
 */
import type { Address } from '../domain/units.ts';
import * as orders from './book/order-pool.ts';
import { stopDirectionOf, timeInForceOf } from './book/order-pool.ts';
import { cancellation } from './codes.ts';
import type { CommandRecords } from './command-records.ts';
import * as records from './command-records.ts';
import { copyDigest } from './digest-words.ts';
import * as sinkRecords from './event-sink.ts';
import { closeOrder, leaveBook, linkOrder, releaseLock, unlinkOrder } from './live-orders.ts';
import { runTaker } from './matching.ts';
import * as orderChecks from './order-checks.ts';
import { check, findLiveOrder, isDuplicate, lock, oldestSequence, registration } from './order-checks.ts';
import type { EngineState } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const {
  ACCOUNT,
  DIGEST,
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
  SIZE,
  STATE,
  STATE_MATCHING,
  STATE_RESTING,
  STATE_STOP,
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

const { ACCEPT, REJECT } = orderChecks;
const REPLACED = cancellation('replaced');
/** Places the order of the record. @returns 0, or the code of the reason it was refused for. */
export function placeOrder(state: EngineState, records: CommandRecords, index: number): number {
  const at = index << COMMAND_INT_SHIFT;
  const account = records.ints[at | OF_ACCOUNT]!;
  const laneSlot = account < 0 ? 0 : state.lanes.find(account, records.ints[at | ORDER_LANE]!);
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
  const account = ints[at | OF_ACCOUNT]!;
  const replacedSequence = floats[(index << COMMAND_FLOAT_SHIFT) | REPLACED_SEQUENCE]!;
  if (account < 0 || replacedSequence < 0) return REJECT.orderNotFound;
  const laneSlot = state.lanes.find(account, ints[at | ORDER_LANE]!);
  if (laneSlot !== 0 && isDuplicate(state, records, index, laneSlot)) return REJECT.duplicateOrder;
  const replaced = findLiveOrder(state, account, ints[at | REPLACED_LANE]!, replacedSequence);
  if (replaced === 0) return REJECT.orderNotFound;
  const refused = check(state, records, index, laneSlot, replaced);
  if (refused === ACCEPT) admit(state, records, index, laneSlot, replaced);
  return refused;
}

/** Nothing can refuse it any more: takes the lane, locks, replaces, matches or waits. */
function admit(state: EngineState, records: CommandRecords, index: number, laneSlot: number, replaced: number): void {
  const { ledger, sink, pool } = state;
  const { ints } = records;
  const at = index << COMMAND_INT_SHIFT;
  const market = state.markets[ints[at | ORDER_MARKET]!]!;
  const flags = ints[at | ORDER_FLAGS]!;
  if ((flags & FLAG_REGISTERED) !== 0) state.registeredOrders.delete(registration(state, records, index));
  const slot = laneSlot === 0 ? openLane(state, ints[at | OF_ACCOUNT]!, ints[at | ORDER_LANE]!) : laneSlot;
  const id = writeOrder(state, records, index, slot);
  const keepsPlace = replaced !== 0 && mayKeepPlace(state, id, replaced);
  if (replaced !== 0) endReplaced(state, replaced, id, keepsPlace);
  const orderSequence = records.floats[(index << COMMAND_FLOAT_SHIFT) | OF_SEQUENCE]!;
  state.lanes.use(slot, orderSequence, ints, at + ORDER_DIGEST);
  // The balance exists: an order locks something.
  ledger.lock(lock.slot, lock.quanta);
  const accepted = sink.write(ACCEPTED, id, 0, 0);
  if (stopDirectionOf(flags) !== STOP_NONE) {
    pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE] = STATE_STOP;
    market.stops.insert(id);
    linkOrder(state, id);
    return;
  }
  if (keepsPlace) {
    pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE] = STATE_RESTING;
    linkOrder(state, id);
    sink.level(market.index, flags & FLAG_SIDE, pool.ints[(id << INT_SHIFT) | PRICE]!);
    sink.patch(accepted, pool.floats[(id << FLOAT_SHIFT) | REMAINING]!);
    return;
  }
  sink.patch(accepted, runTaker(state, market, id, false));
}

function openLane(state: EngineState, account: number, lane: number): number {
  state.lanes.sweepIfDue(oldestSequence(state), state.pool, state.accounts);
  return state.lanes.open(account, lane);
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
  const size = fromFloats[fromFloatAt | ORDER_SIZE]!;
  const at = id << INT_SHIFT;
  ints[at | PRICE] = fromFloats[fromFloatAt | ORDER_PRICE]!;
  ints[at | ACCOUNT] = from[fromAt | OF_ACCOUNT]!;
  ints[at | FLAGS] = (from[fromAt | ORDER_FLAGS]! & ~FLAG_REGISTERED) | (sessionKey === '' ? 0 : FLAG_SESSION_KEY);
  ints[at | MARKET] = from[fromAt | ORDER_MARKET]!;
  pool.floats[(id << FLOAT_SHIFT) | REMAINING] = size;
  const lifeAt = id << LIFE_INT_SHIFT;
  lifeInts[lifeAt | STATE] = STATE_MATCHING;
  lifeInts[lifeAt | LANE_SLOT] = laneSlot;
  lifeInts[lifeAt | MAX_FEE_PPM] = from[fromAt | ORDER_MAX_FEE_PPM]!;
  lifeInts[lifeAt | REFERENCES] = 0;
  const lifeFloatAt = id << LIFE_FLOAT_SHIFT;
  lifeFloats[lifeFloatAt | FILLED] = 0;
  lifeFloats[lifeFloatAt | PLACED_AT] = state.sequence;
  const expiry = fromFloats[fromFloatAt | ORDER_EXPIRY]!;
  lifeFloats[lifeFloatAt | DUE] =
    sessionKey === '' ? expiry : dueOf(state, from[fromAt | OF_ACCOUNT]!, sessionKey, expiry);
  const termAt = id << TERM_INT_SHIFT;
  termInts[termAt | LANE] = from[fromAt | ORDER_LANE]!;
  termInts[termAt | TRIGGER_PRICE] = from[fromAt | ORDER_TRIGGER_PRICE]!;
  copyDigest(termInts, termAt + DIGEST, from, fromAt + ORDER_DIGEST);
  const termFloatAt = id << TERM_FLOAT_SHIFT;
  termFloats[termFloatAt | SIZE] = size;
  termFloats[termFloatAt | ORDER_SEQUENCE] = fromFloats[fromFloatAt | OF_SEQUENCE]!;
  termFloats[termFloatAt | EXPIRY] = expiry;
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
  const waits = stopDirectionOf(ints[at | FLAGS]!) !== STOP_NONE;
  const timeInForce = timeInForceOf(ints[at | FLAGS]!);
  const rests = timeInForce !== IOC && timeInForce !== FOK;
  return (
    state.pool.lifeInts[(replaced << LIFE_INT_SHIFT) | STATE] === STATE_RESTING &&
    rests &&
    !waits &&
    ints[at | MARKET] === ints[old + MARKET] &&
    ints[at | PRICE] === ints[old + PRICE] &&
    (ints[at | FLAGS]! & FLAG_SIDE) === (ints[old + FLAGS]! & FLAG_SIDE) &&
    floats[(id << FLOAT_SHIFT) | REMAINING]! <= floats[(replaced << FLOAT_SHIFT) | REMAINING]!
  );
}

function endReplaced(state: EngineState, replaced: number, id: number, keepsPlace: boolean): void {
  const market = state.markets[state.pool.ints[(replaced << INT_SHIFT) | MARKET]!]!;
  releaseLock(state, market, replaced);
  if (keepsPlace) {
    const { lifeFloats } = state.pool;
    lifeFloats[(id << LIFE_FLOAT_SHIFT) | PRIORITY] = lifeFloats[(replaced << LIFE_FLOAT_SHIFT) | PRIORITY]!;
    market.book.takePlace(replaced, id);
  } else leaveBook(state, market, replaced);
  unlinkOrder(state, replaced);
  closeOrder(state, replaced, STATUS_CANCELLED, REPLACED);
}
