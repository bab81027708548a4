/** Plays a flow through the bare book, the full engine and nodejs-order-book, each behind the same small interface. */
import { createRequire } from 'node:module';
import { Book } from '../src/offchain-engine/book/book.ts';
import * as orders from '../src/offchain-engine/book/order-pool.ts';
import { OrderPool } from '../src/offchain-engine/book/order-pool.ts';
import { FAR_ORDERS, GROUP } from '../src/offchain-engine/touch-ahead.ts';
import { CANCEL, type Flow, HASH_START, IOC, mix } from './flow.ts';

// As constants of this module they are literals in its machine code, as in the engine's own modules.
const { ACCOUNT, FLAGS, FLOAT_SHIFT, INT_SHIFT, NEXT, PREVIOUS, PRICE, REMAINING } = orders;

/** Volume and hash where the runner knows them. */
export type Outcome = { readonly trades: number; readonly volume?: number; readonly hash?: number };

export type Runner = {
  /** Makes ready what `play` of the same records is handed; not timed. */
  prepare(from: number, to: number): void;
  /** Plays records [from, to). */
  play(from: number, to: number): void;
  outcome(): Outcome;
};

/** The book alone: queues and levels, no accounts. */
export class BookRunner implements Runner {
  readonly pool = new OrderPool(1 << 12);
  readonly #book = new Book(this.pool);
  readonly #flow: Flow;
  /** Pool id by flow id while it rests. */
  readonly #idOf: Int32Array;
  readonly #touched = new Int32Array(GROUP + 1);
  #trades = 0;
  #volume = 0;
  #hash = HASH_START;

  constructor(flow: Flow) {
    this.#flow = flow;
    this.#idOf = new Int32Array(flow.highestId + 1);
  }

  prepare(): void {
    // It reads the flow itself.
  }

  play(from: number, to: number): void {
    const { types, sides, ids, prices, sizes } = this.#flow;
    for (let index = from; index < to; index++) {
      if ((index - from) % GROUP === 0 && this.pool.used > FAR_ORDERS)
        this.#touchAhead(index, Math.min(index + GROUP, to));
      this.pool.begin();
      if (types[index] === CANCEL) this.#cancel(ids[index]!);
      else this.#submit(sides[index]!, ids[index]!, prices[index]!, sizes[index]!, types[index] !== IOC);
    }
  }

  /** As the engine does for its commands: see src/offchain-engine/touch-ahead.ts. */
  #touchAhead(from: number, to: number): void {
    const { types, ids } = this.#flow;
    const queue = this.pool.ints;
    const idOf = this.#idOf;
    const touched = this.#touched;
    for (let index = from; index < to; index++)
      touched[index - from] = types[index] === CANCEL ? idOf[ids[index]!]! << INT_SHIFT : 0;
    let sum = 0;
    for (let index = 0; index < to - from; index++) sum += queue[touched[index]!]!;
    for (let index = 0; index < to - from; index++) {
      const at = touched[index]!;
      sum += queue[queue[at + NEXT]! << INT_SHIFT]! + queue[queue[at + PREVIOUS]! << INT_SHIFT]!;
    }
    touched[GROUP] = sum;
  }

  outcome(): Outcome {
    return { trades: this.#trades, volume: this.#volume, hash: this.#hash >>> 0 };
  }

  #cancel(flowId: number): void {
    const id = this.#idOf[flowId]!;
    this.#book.remove(id);
    this.pool.release(id);
  }

  #submit(side: number, flowId: number, price: number, size: number, rests: boolean): void {
    const book = this.#book;
    const { pool } = this;
    let left = size;
    while (left > 0) {
      const best = side === 0 ? book.bestAsk : book.bestBid;
      if (best === 0 || (side === 0 ? best > price : best < price)) break;
      const maker = book.head(side ^ 1);
      const makerLeft = pool.floats[(maker << FLOAT_SHIFT) + REMAINING]!;
      const traded = Math.min(left, makerLeft);
      left -= traded;
      this.#trades++;
      this.#volume += traded;
      this.#hash = mix(this.#hash, flowId, pool.ints[(maker << INT_SHIFT) + ACCOUNT]!, best, traded);
      if (traded < makerLeft) book.reduce(maker, traded);
      else {
        book.remove(maker);
        pool.release(maker);
      }
    }
    if (left === 0 || !rests) return;
    const id = pool.allocate();
    pool.ints[(id << INT_SHIFT) + PRICE] = price;
    pool.ints[(id << INT_SHIFT) + FLAGS] = side;
    // The book does not look at it: here it says which order of the flow this is.
    pool.ints[(id << INT_SHIFT) + ACCOUNT] = flowId;
    pool.floats[(id << FLOAT_SHIFT) + REMAINING] = left;
    book.insert(id);
    this.#idOf[flowId] = id;
  }
}

type PeerReply = { done: { id: string }[]; partial: { id: string } | null; quantityLeft: number; err: Error | null };
type PeerOrder = { side: string; id: string; size: number; price: number; timeInForce: string };
type PeerBook = { limit(order: PeerOrder): PeerReply; cancel(id: string): unknown };

/** nodejs-order-book from npm, with its own ids (strings). */
export class PeerRunner implements Runner {
  readonly #book: PeerBook;
  readonly #flow: Flow;
  #orders: PeerOrder[] = [];
  #prepared = 0;
  #trades = 0;
  #volume = 0;

  constructor(flow: Flow) {
    const { OrderBook } = createRequire(import.meta.url)('nodejs-order-book') as { OrderBook: new () => PeerBook };
    this.#book = new OrderBook();
    this.#flow = flow;
  }

  prepare(from: number, to: number): void {
    const { types, sides, ids, prices, sizes } = this.#flow;
    this.#prepared = from;
    this.#orders = [];
    for (let index = from; index < to; index++) {
      this.#orders.push({
        side: sides[index] === 0 ? 'buy' : 'sell',
        id: String(ids[index]),
        size: sizes[index]!,
        price: prices[index]!,
        timeInForce: types[index] === IOC ? 'IOC' : 'GTC',
      });
    }
  }

  play(from: number, to: number): void {
    const { types } = this.#flow;
    for (let index = from; index < to; index++) {
      const order = this.#orders[index - this.#prepared]!;
      const { id, size } = order;
      if (types[index] === CANCEL) {
        this.#book.cancel(id);
        continue;
      }
      const reply = this.#book.limit(order);
      if (reply.err !== null) throw reply.err;
      for (const done of reply.done) if (done.id !== id) this.#trades++;
      if (reply.partial !== null && reply.partial.id !== id) this.#trades++;
      this.#volume += size - reply.quantityLeft;
    }
  }

  outcome(): Outcome {
    return { trades: this.#trades, volume: this.#volume };
  }
}
