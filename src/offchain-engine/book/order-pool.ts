/**
 * Every order the engine has to remember, as fixed records of 128 bytes in one buffer, addressed by a dense id.
 *
 * The first 64 bytes (one cache line) hold what matching touches, the second what entry, expiry and settlement need.
 * An id is given out again once its order is done *and* no trade that is not final refers to it (`REFERENCES`), and not
 * before the next command: until then a released record keeps its content, so that the events of the command that released
 * it can still be read from it, also when the same command places an order.
 * Ids never leave the engine: they are not part of its state, and a snapshot renumbers them.
 */

/** Int32 slots of a record. */
export const PRICE = 0;
/** Neighbours in the price level's queue; `NEXT` also links the free list. */
export const NEXT = 1;
export const PREVIOUS = 2;
export const ACCOUNT = 3;
export const FLAGS = 4;
export const MARKET = 5;
/** Neighbours among the account's live orders, oldest first. */
export const ACCOUNT_NEXT = 6;
export const ACCOUNT_PREVIOUS = 7;
export const LANE = 16;
/** Position of the lane's record in the lane table. */
export const LANE_SLOT = 17;
export const MAX_FEE_PPM = 18;
/** Trades that are not final and name this order. */
export const REFERENCES = 19;
/** Neighbours in the same deadline bucket. */
export const DUE_NEXT = 20;
export const DUE_PREVIOUS = 21;
export const TRIGGER_PRICE = 22;
export const STATE = 23;

/** Float64 slots of a record (integers below 2^53). */
export const REMAINING = 4;
/** Journal sequence of the command that placed it: unique per order, and the order of arrival. */
export const PLACED_AT = 5;
export const SIZE = 6;
export const FILLED = 7;
export const ORDER_SEQUENCE = 12;
/** Unix seconds. */
export const EXPIRY = 13;
/** Unix seconds at which it must be looked at: the expiry, or the end of the session key that signed it if sooner. */
export const DUE = 14;
/** Rises with every order that comes to rest: time priority at its price. An order that keeps a replaced one's place has its. */
export const PRIORITY = 15;

/** Int32 and Float64 slots per record, as shifts. */
export const INT_SHIFT = 5;
export const FLOAT_SHIFT = 4;

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
export const GTD = 3;
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
export const STATE_FREE = 0;
export const STATE_MATCHING = 1;
export const STATE_RESTING = 2;
export const STATE_STOP = 3;
export const STATE_TRIGGERED = 4;
export const STATE_DONE = 5;

export class OrderPool {
  ints: Int32Array;
  floats: Float64Array;
  /** By id. */
  readonly digests: string[] = [''];
  /** Session keys that signed, by id; orders without FLAG_SESSION_KEY were signed or registered by their owners. */
  readonly signers = new Map<number, string>();
  /** Ids given out and not released. */
  used = 0;
  #bytes: Uint8Array;
  #spare: ArrayBuffer | undefined;
  #capacity: number;
  /** Ids above this were never given out. Id 0 means "none". */
  #highest = 0;
  #free = 0;
  /** Released by the present command, linked like the free list: its first (released last) and its last. */
  #released = 0;
  #releasedLast = 0;

  constructor(capacity = 1024) {
    this.#capacity = capacity;
    const buffer = new ArrayBuffer(capacity << 7);
    this.ints = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  /** Ids in use, ascending. */
  *ids(): Generator<number> {
    for (let id = 1; id <= this.#highest; id++) if (this.ints[(id << INT_SHIFT) + STATE] !== STATE_FREE) yield id;
  }

  /** A new command begins: what the one before released may be given out again. */
  begin(): void {
    if (this.#released === 0) return;
    this.ints[(this.#releasedLast << INT_SHIFT) + NEXT] = this.#free;
    this.#free = this.#released;
    this.#released = 0;
  }

  /** A record of undefined content. Views may change: reread `ints` and `floats` afterwards. */
  allocate(): number {
    this.used++;
    const reused = this.#free;
    if (reused !== 0) {
      this.#free = this.ints[(reused << INT_SHIFT) + NEXT]!;
      return reused;
    }
    const id = ++this.#highest;
    if (id >= this.#capacity) this.#grow();
    return id;
  }

  release(id: number): void {
    this.used--;
    const at = id << INT_SHIFT;
    if ((this.ints[at + FLAGS]! & FLAG_SESSION_KEY) !== 0) this.signers.delete(id);
    this.ints[at + STATE] = STATE_FREE;
    if (this.#released === 0) this.#releasedLast = id;
    this.ints[at + NEXT] = this.#released;
    this.#released = id;
  }

  /** The records of all ids given out so far, as they are now; the buffer may be longer. */
  copy(): ArrayBuffer {
    const used = this.#bytes.subarray(0, (this.#highest + 1) << 7);
    const spare = this.#spare;
    this.#spare = undefined;
    const buffer = spare !== undefined && spare.byteLength >= used.length ? spare : new ArrayBuffer(this.#bytes.length);
    new Uint8Array(buffer).set(used);
    return buffer;
  }

  /** Takes a copy back that nobody reads any more, for the next one: fresh memory costs more than copying into it. */
  takeBack(copy: ArrayBuffer): void {
    this.#spare = copy;
  }

  #grow(): void {
    this.#capacity *= 2;
    const buffer = new ArrayBuffer(this.#capacity << 7);
    const bytes = new Uint8Array(buffer);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.ints = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
  }
}
