/**
 * The snapshot's large sections, written from copies of the tables: accounts, balances, lanes with their live orders, trades
 * with the orders that are done and named by them.
 *
 * Orders are written by account and lane; orders that are done follow in the order in which trades name them. Their positions
 * in that sequence stand for their ids. Queues are not written: PRIORITY says who comes first.
 */
import { type BinaryReader, type BinaryWriter, corrupt } from './binary.ts';
import type { OrderRecords } from './book/order-pool.ts';
import * as orders from './book/order-pool.ts';
import * as digestWords from './digest-words.ts';
import { copyDigest } from './digest-words.ts';
import type { LaneTable } from './lanes.ts';
import * as balances from './ledger.ts';
import { byArrival, linkOrder } from './live-orders.ts';
import type { EngineState } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const {
  ACCOUNT,
  DIGEST,
  DUE,
  EXPIRY,
  FILLED,
  FLAG_SESSION_KEY,
  FLAGS,
  FLOAT_SHIFT,
  INT_SHIFT,
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
  STATE_DONE,
  STATE_RESTING,
  STATE_STOP,
  STATE_TRIGGERED,
  TERM_FLOAT_SHIFT,
  TERM_INT_SHIFT,
  TRIGGER_PRICE,
} = orders;
const { DIGEST_WORDS } = digestWords;
const { AVAILABLE, BALANCE_SHIFT, SETTLED } = balances;

/** Nothing: a step is over, and the caller may do something else before the next. */
type Steps<Result = void> = Generator<undefined, Result, undefined>;

/** Records written in one step: well under a millisecond. */
const STEP = 256;

/** Order records as they were when the snapshot was taken. */
export class OrderTable {
  readonly records: OrderRecords;
  readonly signers: ReadonlyMap<number, string>;
  /** Position in the snapshot plus one, by id; 0 while it has none. */
  readonly #positions: Int32Array;
  #written = 0;

  constructor({ pool }: EngineState) {
    this.records = pool.copy();
    this.signers = new Map(pool.signers);
    this.#positions = new Int32Array(this.records.capacity);
  }

  write(out: BinaryWriter, id: number): void {
    const { ints, floats, lifeInts, lifeFloats, termInts, termFloats } = this.records;
    this.#positions[id] = ++this.#written;
    const at = id << INT_SHIFT;
    const lifeAt = id << LIFE_INT_SHIFT;
    const lifeFloatAt = id << LIFE_FLOAT_SHIFT;
    const termFloatAt = id << TERM_FLOAT_SHIFT;
    const state = lifeInts[lifeAt | STATE]!;
    const flags = ints[at | FLAGS]!;
    out.byte(state);
    out.uint32(ints[at | PRICE]!);
    out.uint32(flags);
    out.uint32(ints[at | MARKET]!);
    out.uint32(lifeInts[lifeAt | MAX_FEE_PPM]!);
    out.uint32(termInts[(id << TERM_INT_SHIFT) | TRIGGER_PRICE]!);
    out.number(floats[(id << FLOAT_SHIFT) | REMAINING]!);
    out.number(lifeFloats[lifeFloatAt | PLACED_AT]!);
    out.number(termFloats[termFloatAt | SIZE]!);
    out.number(lifeFloats[lifeFloatAt | FILLED]!);
    out.number(termFloats[termFloatAt | ORDER_SEQUENCE]!);
    out.number(termFloats[termFloatAt | EXPIRY]!);
    out.number(lifeFloats[lifeFloatAt | DUE]!);
    // Of others it is whatever the record's last use left there.
    if (state === STATE_RESTING) out.number(lifeFloats[lifeFloatAt | PRIORITY]!);
    if ((flags & FLAG_SESSION_KEY) !== 0) out.hex(this.signers.get(id)!);
  }

  isWritten(id: number): boolean {
    return this.#positions[id] !== 0;
  }

  positionOf(id: number): number {
    return this.#positions[id]! - 1;
  }
}

/** Reads one order of that lane into a fresh record. A live order's digest is its lane's. */
function readOrder(
  input: BinaryReader,
  { pool, markets }: EngineState,
  account: number,
  lane: number,
  digest: Int32Array,
): number {
  const id = pool.allocate();
  const { ints, floats, lifeInts, lifeFloats, termInts, termFloats } = pool;
  const at = id << INT_SHIFT;
  const lifeAt = id << LIFE_INT_SHIFT;
  const lifeFloatAt = id << LIFE_FLOAT_SHIFT;
  const termAt = id << TERM_INT_SHIFT;
  const termFloatAt = id << TERM_FLOAT_SHIFT;
  const state = input.byte();
  lifeInts[lifeAt | STATE] = state;
  lifeInts[lifeAt | REFERENCES] = 0;
  ints[at | ACCOUNT] = account;
  ints[at | PRICE] = input.uint32();
  ints[at | FLAGS] = input.uint32();
  ints[at | MARKET] = input.uint32();
  lifeInts[lifeAt | MAX_FEE_PPM] = input.uint32();
  termInts[termAt | LANE] = lane;
  termInts[termAt | TRIGGER_PRICE] = input.uint32();
  floats[(id << FLOAT_SHIFT) | REMAINING] = input.number();
  lifeFloats[lifeFloatAt | PLACED_AT] = input.number();
  termFloats[termFloatAt | SIZE] = input.number();
  lifeFloats[lifeFloatAt | FILLED] = input.number();
  termFloats[termFloatAt | ORDER_SEQUENCE] = input.number();
  termFloats[termFloatAt | EXPIRY] = input.number();
  lifeFloats[lifeFloatAt | DUE] = input.number();
  lifeFloats[lifeFloatAt | PRIORITY] = state === STATE_RESTING ? input.number() : 0;
  copyDigest(termInts, termAt + DIGEST, digest, 0);
  if ((ints[at | FLAGS]! & FLAG_SESSION_KEY) !== 0) pool.signers.set(id, input.hex());
  if (markets[ints[at | MARKET]!] === undefined) throw corrupt('an order names no known market');
  return id;
}

/** Every balance that was ever opened, in that order. */
export function* writeBalances(
  out: BinaryWriter,
  slots: { readonly accounts: readonly number[]; readonly assets: readonly number[]; readonly records: Float64Array },
): Steps {
  const count = slots.records.length >>> BALANCE_SHIFT;
  out.uint32(count - 1);
  for (let slot = 1; slot < count; slot++) {
    out.uint32(slots.accounts[slot]!);
    out.uint32(slots.assets[slot]!);
    for (let figure = AVAILABLE; figure <= SETTLED; figure++)
      out.number(slots.records[(slot << BALANCE_SHIFT) + figure]!);
    if (slot % STEP === 0) yield;
  }
}

export function readBalances(input: BinaryReader, { ledger }: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const slot = ledger.slot(input.uint32(), input.uint32());
    if (slot !== index + 1) throw corrupt('a balance is listed twice');
    for (let figure = AVAILABLE; figure <= SETTLED; figure++)
      ledger.records[(slot << BALANCE_SHIFT) + figure] = input.number();
    if (ledger.get(slot, AVAILABLE) < 0) ledger.negative.add(slot);
  }
}

/** Lanes by account and lane, each followed by its live order if it has one. */
export function* writeLanes(out: BinaryWriter, lanes: LaneTable, accounts: number, orders: OrderTable): Steps {
  const { order, ends } = yield* lanes.sorted(accounts);
  let written = 0;
  for (let account = 0, start = 0; account < accounts; account++) {
    const end = ends[account]!;
    const own = order.subarray(start, end).sort();
    start = end;
    out.uint32(own.length);
    if (account % STEP === STEP - 1) yield;
    for (const packed of own) {
      const lane = Math.floor(packed / 2 ** 32);
      const slot = packed - lane * 2 ** 32;
      out.uint32(lane);
      out.number(lanes.sequence(slot));
      lanes.writeDigest(out, slot);
      const id = lanes.order(slot);
      out.flag(id !== 0);
      if (id !== 0) orders.write(out, id);
      if (++written % STEP === 0) yield;
    }
  }
}

/** @returns ids of the live orders, in the order they were written. */
export function readLanes(input: BinaryReader, core: EngineState): number[] {
  const { lanes, pool } = core;
  const ids: number[] = [];
  const digest = new Int32Array(DIGEST_WORDS);
  for (let account = 0; account < core.accounts.count; account++) {
    const count = input.uint32();
    for (let index = 0; index < count; index++) {
      const lane = input.uint32();
      const slot = lanes.open(account, lane);
      const sequence = input.number();
      input.digest(digest, 0);
      lanes.use(slot, sequence, digest, 0);
      if (!input.flag()) continue;
      const id = readOrder(input, core, account, lane, digest);
      pool.lifeInts[(id << LIFE_INT_SHIFT) | LANE_SLOT] = slot;
      ids.push(id);
    }
  }
  return ids;
}

/** The done orders that the trades name and that are not written yet, in that order. @param named ids, may repeat. */
export function* writeDoneOrders(out: BinaryWriter, named: Int32Array, orders: OrderTable): Steps {
  const done = new Set<number>();
  for (const id of named) if (!orders.isWritten(id)) done.add(id);
  out.uint32(done.size);
  let written = 0;
  for (const id of done) {
    const { ints, termInts } = orders.records;
    const termAt = id << TERM_INT_SHIFT;
    out.uint32(ints[(id << INT_SHIFT) | ACCOUNT]!);
    out.uint32(termInts[termAt | LANE]!);
    out.digest(termInts, termAt + DIGEST);
    orders.write(out, id);
    if (++written % STEP === 0) yield;
  }
}

/** @param ids of the orders read so far; those read here are added. */
export function readDoneOrders(input: BinaryReader, core: EngineState, ids: number[]): void {
  const count = input.uint32();
  const digest = new Int32Array(DIGEST_WORDS);
  for (let index = 0; index < count; index++) {
    const account = input.uint32();
    const lane = input.uint32();
    input.digest(digest, 0);
    const id = readOrder(input, core, account, lane, digest);
    if (account >= core.accounts.count || core.pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE] !== STATE_DONE)
      throw corrupt('an order that trades name is neither live nor done');
    ids.push(id);
  }
}

/** Puts live orders where they belong: account lists and deadlines by arrival, books by priority, stops by trigger. */
export function placeLiveOrders(core: EngineState, ids: readonly number[]): void {
  const { ints, lifeInts, lifeFloats } = core.pool;
  const resting: number[] = [];
  for (const id of byArrival(core, [...ids])) {
    linkOrder(core, id);
    const market = core.markets[ints[(id << INT_SHIFT) | MARKET]!]!;
    switch (lifeInts[(id << LIFE_INT_SHIFT) | STATE]) {
      case STATE_RESTING:
        resting.push(id);
        break;
      case STATE_STOP:
        market.stops.insert(id);
        break;
      case STATE_TRIGGERED:
        break;
      default:
        throw corrupt('a lane holds an order that is not live');
    }
  }
  resting.sort(
    (a, b) => lifeFloats[(a << LIFE_FLOAT_SHIFT) | PRIORITY]! - lifeFloats[(b << LIFE_FLOAT_SHIFT) | PRIORITY]!,
  );
  for (const id of resting) core.markets[ints[(id << INT_SHIFT) | MARKET]!]!.book.insert(id);
}
