/**
 * A live copy of a market's order book that heals itself.
 *
 * Every delta must follow on the one before, and after each the ten best levels are held against the API's checksum; otherwise, and after a
 * lost connection, the book starts from a new snapshot. Until that is there `synced` is false and the last picture stays readable.
 */
import { decimalToUnits } from '../domain/units.ts';
import { crc32 } from './crc32.ts';
import { type ChannelMessage, followChannel } from './stream.ts';

/** [price, size] as decimal strings. */
export type BookLevel = readonly [price: string, size: string];

export type OrderBook = {
  readonly market: string;
  /** Highest price first. */
  readonly bids: readonly BookLevel[];
  /** Lowest price first. */
  readonly asks: readonly BookLevel[];
  /** Journal sequence of the command that changed the book last. */
  readonly sequence: number;
  /** False while a new snapshot is awaited. */
  readonly synced: boolean;
  /** How many times it had to start from a new snapshot. */
  readonly resyncs: number;
  /** Calls the listener after each change, and when `synced` changes; returns what ends it. */
  onChange(listener: (book: OrderBook) => void): () => void;
  /** Ends the stream; the last picture stays readable. */
  close(): void;
};

const CHECKSUM_LEVELS = 10;
/** No listed tick has more decimal places. */
const PRICE_PLACES_MAX = 36;

/**
 * Resolves with the first picture.
 * @param signal closes the book, also later
 * @throws TallystickError with the API's code when it refuses the market; the signal's reason when aborted before the first picture
 */
export function openOrderBook(options: {
  baseUrl: string;
  market: string;
  signal?: AbortSignal | undefined;
}): Promise<OrderBook> {
  const { baseUrl, market, signal } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const book = new LiveBook(market);
    const close = followChannel(
      baseUrl,
      { channel: 'depth', market },
      {
        onSnapshot: (message) => {
          book.replace(message);
          resolve(book);
        },
        onDelta: (message) => book.apply(message),
        onStale: () => book.markStale(),
        onRefused: reject,
      },
    );
    book.close = () => {
      close();
      book.markStale();
    };
    signal?.addEventListener(
      'abort',
      () => {
        book.close();
        reject(signal.reason);
      },
      { once: true },
    );
  });
}

class LiveBook implements OrderBook {
  readonly market: string;
  readonly #bids = new Side((a, b) => (a > b ? -1 : 1));
  readonly #asks = new Side((a, b) => (a < b ? -1 : 1));
  readonly #listeners = new Set<(book: OrderBook) => void>();
  #snapshots = 0;
  sequence = 0;
  synced = false;
  close: () => void = () => undefined;

  constructor(market: string) {
    this.market = market;
  }

  get bids(): readonly BookLevel[] {
    return this.#bids.levels();
  }

  get asks(): readonly BookLevel[] {
    return this.#asks.levels();
  }

  get resyncs(): number {
    return Math.max(0, this.#snapshots - 1);
  }

  onChange(listener: (book: OrderBook) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  replace(snapshot: ChannelMessage): void {
    this.#bids.clear();
    this.#asks.clear();
    this.#snapshots++;
    this.synced = true;
    this.#set(snapshot);
    this.#tell();
  }

  /** False when the book does not match the checksum afterwards. */
  apply(delta: ChannelMessage): boolean {
    this.#set(delta);
    if (this.#checksum() !== delta['checksum']) return false;
    this.#tell();
    return true;
  }

  markStale(): void {
    if (!this.synced) return;
    this.synced = false;
    this.#tell();
  }

  #set(message: ChannelMessage): void {
    for (const [price, size] of message['bids'] as BookLevel[]) this.#bids.set(price, size);
    for (const [price, size] of message['asks'] as BookLevel[]) this.#asks.set(price, size);
    this.sequence = message.seq;
  }

  #checksum(): number {
    const parts: string[] = [];
    const { bids, asks } = this;
    for (let level = 0; level < CHECKSUM_LEVELS; level++) parts.push(...(bids[level] ?? []), ...(asks[level] ?? []));
    return crc32(parts.join(':'));
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this);
  }
}

/** One side of the book: levels by price, best first when asked for. */
class Side {
  readonly #order: (a: bigint, b: bigint) => number;
  readonly #levels = new Map<string, BookLevel>();
  #sorted: readonly BookLevel[] | undefined;

  constructor(order: (a: bigint, b: bigint) => number) {
    this.#order = order;
  }

  clear(): void {
    this.#levels.clear();
    this.#sorted = undefined;
  }

  set(price: string, size: string): void {
    if (size === '0') this.#levels.delete(price);
    else this.#levels.set(price, [price, size]);
    this.#sorted = undefined;
  }

  levels(): readonly BookLevel[] {
    this.#sorted ??= [...this.#levels.values()]
      .map((level) => ({ level, units: decimalToUnits(level[0], PRICE_PLACES_MAX) ?? 0n }))
      .sort((a, b) => this.#order(a.units, b.units))
      .map(({ level }) => level);
    return this.#sorted;
  }
}
