/**
 * Every order the engine has to remember, addressed by a dense id, as fixed records in three tables, by when they are needed:
 *
 *   queue   32 bytes   price, size, neighbours at the price, owner: what matching reads
 *   life    64 bytes   state, lane, fee, place in the deadline wheel: what entry and end touch
 *   terms   64 bytes   the rest of what was signed, and its digest: read when an event or a batch is made
 *
 * An id is given out again once its order is done *and* no trade that is not final refers to it (`REFERENCES`), and not
 * before the next command: until then a released record keeps its content, so that the events of the command that released
 * it can still be read from it, also when the same command places an order.
 * Ids never leave the engine: they are not part of its state, and a snapshot renumbers them.
 */
import type { Hash } from '../../domain/units.ts';
import { readDigest } from '../digest-words.ts';
import { RecordTable, touchPages } from '../record-table.ts';

/** Int32 slots of the queue record. */
export const PRICE = 0;
/** Neighbours in the price level's queue; `NEXT` also links the free list. */
export const NEXT = 1;
export const PREVIOUS = 2;
export const ACCOUNT = 3;
export const FLAGS = 4;
export const MARKET = 5;
/** Float64 slot of the queue record (an integer below 2^53, as all of them). */
export const REMAINING = 3;

/** Int32 slots of the life record. */
export const STATE = 0;
/** Position of the lane's record in the lane table. */
export const LANE_SLOT = 1;
export const MAX_FEE_PPM = 2;
/** Trades that are not final and name this order. */
export const REFERENCES = 3;
/** Its own entry in its bucket of the deadline wheel; −1 when it is in none. */
export const DUE_AT = 4;
/** Float64 slots of the life record. */
export const FILLED = 4;
/** Unix seconds at which it must be looked at: the expiry, or the end of the session key that signed it if sooner. */
export const DUE = 5;
/** Rises with every order that comes to rest: time priority at its price. An order that keeps a replaced one's place has its. */
export const PRIORITY = 6;
/** Journal sequence of the command that placed it: unique per order, and the order of arrival. */
export const PLACED_AT = 7;

/** Int32 slots of the terms record. */
export const LANE = 0;
export const TRIGGER_PRICE = 1;
/** First of eight: the digest's bytes as they are. */
export const DIGEST = 8;
/** Float64 slots of the terms record. */
export const SIZE = 1;
export const ORDER_SEQUENCE = 2;
/** Unix seconds. */
export const EXPIRY = 3;

/** Int32 and Float64 slots per record, as shifts: of the queue, life and terms tables. */
export const INT_SHIFT = 3;
export const FLOAT_SHIFT = 2;
export const LIFE_INT_SHIFT = 4;
export const LIFE_FLOAT_SHIFT = 3;
export const TERM_INT_SHIFT = 4;
export const TERM_FLOAT_SHIFT = 3;

/** Sides as integers. */
export const BUY = 0;
export const SELL = 1;

/**
 * FLAGS: bit 0 side, bits 1–2 time in force, bit 3 post-only, bits 4–5 self-trade prevention, bits 6–7 stop
 * direction, bit 8 signed by a session key (see `signers`).
 */
export const FLAG_SIDE = 1;
export const FLAG_POST_ONLY = 8;
export const FLAG_SESSION_KEY = 256;
export const GTC = 0;
export const IOC = 1;
export const FOK = 2;
// 3, the remaining one, is GTD.
export const CANCEL_NEWEST = 0;
export const CANCEL_OLDEST = 1;
export const CANCEL_BOTH = 2;
// 3, the remaining mode, is decrement.
export const STOP_NONE = 0;
export const STOP_AT_OR_ABOVE = 1;
export const STOP_AT_OR_BELOW = 2;

export const timeInForceOf = (flags: number): number => (flags >>> 1) & 3;
export const preventionOf = (flags: number): number => (flags >>> 4) & 3;
export const stopDirectionOf = (flags: number): number => (flags >>> 6) & 3;
export const packFlags = (
  side: number,
  timeInForce: number,
  postOnly: boolean,
  prevention: number,
  stop: number,
): number => side | (timeInForce << 1) | (postOnly ? FLAG_POST_ONLY : 0) | (prevention << 4) | (stop << 6);

/** STATE. */
export const STATE_MATCHING = 1;
export const STATE_RESTING = 2;
export const STATE_STOP = 3;
export const STATE_TRIGGERED = 4;
export const STATE_DONE = 5;

/** PREVIOUS of a record that is not in use. */
const RELEASED = -1;

/** Record sizes in bytes, as shifts. */
const QUEUE_SHIFT = 5;
const LIFE_SHIFT = 6;
const TERM_SHIFT = 6;

export class OrderPool {
  ints: Int32Array;
  floats: Float64Array;
  lifeInts: Int32Array;
  lifeFloats: Float64Array;
  termInts: Int32Array;
  termFloats: Float64Array;
  /** Session keys that signed, by id; orders without FLAG_SESSION_KEY were signed or registered by their owners. */
  readonly signers = new Map<number, string>();
  /** Ids given out and not released. */
  used = 0;
  readonly #queue: RecordTable;
  readonly #life: RecordTable;
  readonly #terms: RecordTable;
  #spare: OrderRecords | undefined;
  #capacity: number;
  /** Ids above this were never given out. Id 0 means "none". */
  #highest = 0;
  #free = 0;
  /** Released by the present command, linked like the free list: its first (released last) and its last. */
  #released = 0;
  #releasedLast = 0;

  /** @param capacity a power of two */
  constructor(capacity = 256) {
    this.#capacity = capacity;
    this.#queue = new RecordTable(QUEUE_SHIFT, capacity);
    this.#life = new RecordTable(LIFE_SHIFT, capacity);
    this.#terms = new RecordTable(TERM_SHIFT, capacity);
    this.ints = this.#queue.ints;
    this.floats = this.#queue.floats;
    this.lifeInts = this.#life.ints;
    this.lifeFloats = this.#life.floats;
    this.termInts = this.#terms.ints;
    this.termFloats = this.#terms.floats;
  }

  /** The id that is given out next, if it was given out before; the others follow by `NEXT`. 0 for none. */
  get nextFree(): number {
    return this.#free;
  }

  /** Ids in use, ascending. */
  *ids(): Generator<number> {
    for (let id = 1; id <= this.#highest; id++) if (this.ints[(id << INT_SHIFT) | PREVIOUS] !== RELEASED) yield id;
  }

  /** A new command begins: what the one before released may be given out again. */
  begin(): void {
    if (this.#released === 0) return;
    this.ints[(this.#releasedLast << INT_SHIFT) + NEXT] = this.#free;
    this.#free = this.#released;
    this.#released = 0;
  }

  /** A record of undefined content. Views may change: reread them afterwards. */
  allocate(): number {
    this.used++;
    const reused = this.#free;
    if (reused !== 0) {
      this.#free = this.ints[(reused << INT_SHIFT) | NEXT]!;
      this.ints[(reused << INT_SHIFT) | PREVIOUS] = 0;
      return reused;
    }
    const id = ++this.#highest;
    if (id >= this.#capacity) this.#grow();
    return id;
  }

  release(id: number): void {
    this.used--;
    const at = id << INT_SHIFT;
    if ((this.ints[at | FLAGS]! & FLAG_SESSION_KEY) !== 0) this.signers.delete(id);
    this.ints[at | PREVIOUS] = RELEASED;
    if (this.#released === 0) this.#releasedLast = id;
    this.ints[at | NEXT] = this.#released;
    this.#released = id;
  }

  /** EIP-712 digest of the order, its public id. */
  digest(id: number): Hash {
    return readDigest(this.termInts, (id << TERM_INT_SHIFT) + DIGEST);
  }

  /** Gets the memory for the next copy, in short steps. @param more orders at most that enter until then */
  *makeReady(more: number): Generator<undefined, undefined, undefined> {
    const ids = this.#highest + 1 + more;
    if (this.#spare !== undefined && this.#spare.capacity >= ids) return;
    const spare = new OrderRecords(ids);
    yield* touchPages(spare.ints);
    yield* touchPages(spare.lifeInts);
    yield* touchPages(spare.termInts);
    this.#spare = spare;
  }

  /** The records of all ids given out so far, as they are now. */
  copy(): OrderRecords {
    const spare = this.#spare;
    this.#spare = undefined;
    const ids = this.#highest + 1;
    const copy = spare !== undefined && spare.capacity >= ids ? spare : new OrderRecords(this.#capacity);
    copy.ints.set(this.ints.subarray(0, ids << INT_SHIFT));
    copy.lifeInts.set(this.lifeInts.subarray(0, ids << LIFE_INT_SHIFT));
    copy.termInts.set(this.termInts.subarray(0, ids << TERM_INT_SHIFT));
    return copy;
  }

  /** Takes a copy back that nobody reads any more, for the next one: fresh memory costs more than copying into it. */
  takeBack(copy: OrderRecords): void {
    this.#spare = copy;
  }

  #grow(): void {
    const capacity = this.#capacity * 2;
    this.#queue.reserve(capacity);
    this.#life.reserve(capacity);
    this.#terms.reserve(capacity);
    this.#capacity = capacity;
    this.ints = this.#queue.ints;
    this.floats = this.#queue.floats;
    this.lifeInts = this.#life.ints;
    this.lifeFloats = this.#life.floats;
    this.termInts = this.#terms.ints;
    this.termFloats = this.#terms.floats;
  }
}

/** A pool's records as they were. */
export class OrderRecords {
  readonly ints: Int32Array;
  readonly floats: Float64Array;
  readonly lifeInts: Int32Array;
  readonly lifeFloats: Float64Array;
  readonly termInts: Int32Array;
  readonly termFloats: Float64Array;
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.ints = new Int32Array(capacity << INT_SHIFT);
    this.floats = new Float64Array(this.ints.buffer);
    this.lifeInts = new Int32Array(capacity << LIFE_INT_SHIFT);
    this.lifeFloats = new Float64Array(this.lifeInts.buffer);
    this.termInts = new Int32Array(capacity << TERM_INT_SHIFT);
    this.termFloats = new Float64Array(this.termInts.buffer);
  }
}
