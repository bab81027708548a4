/**
 * The public picture of every market as a gateway serves it: price levels and the latest trades, kept up by the event stream.
 *
 * It starts from a snapshot of the books at a journal sequence and applies the frames after it. `seq` of a channel is the
 * journal sequence of the command that changed it last, so it means the same on every gateway; `prevSeq` is the `seq` before.
 * A frame that is missing makes everything void: a new snapshot is fetched, then `resync` tells listeners to start again.
 * Until then the last picture stays readable, with `synced` false.
 *
 * Not here: what one account may see of its own (that is the API's business), and anything that must survive a restart.
 */
import type { AppliedCommand, EngineEvent } from '../domain/events.ts';
import type { Side } from '../domain/orders.ts';
import type { JournalSequence, Lots, PriceTicks, TimestampMs } from '../domain/units.ts';
import { BookSide } from './book-side.ts';
import type { BookSnapshot, EventStream, Level, SnapshotClient, Stop } from './port.ts';

export type PublicTrade = {
  readonly tradeId: number;
  readonly market: number;
  readonly priceTicks: PriceTicks;
  readonly sizeLots: Lots;
  readonly takerSide: Side;
  readonly timestampMs: TimestampMs;
};

export type Depth = {
  readonly market: number;
  readonly seq: JournalSequence;
  readonly timestampMs: TimestampMs;
  /** Best first. */
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
};

export type MarketDelta =
  /** Levels that changed, with their new total size; 0 removes the level. */
  | (Depth & { readonly kind: 'depth'; readonly prevSeq: JournalSequence })
  /** Oldest first. */
  | {
      readonly kind: 'trades';
      readonly market: number;
      readonly seq: JournalSequence;
      readonly prevSeq: JournalSequence;
      readonly trades: readonly PublicTrade[];
    }
  /** What was told before is void: read `depth` and `trades` again. */
  | { readonly kind: 'resync' };

export type MarketDataOptions = {
  readonly events: EventStream;
  readonly snapshots: SnapshotClient;
  /**
   * The latest trades of a market up to the command at `upTo`, in any order, from the projections; they are where the trades
   * channel starts. Must not reject.
   */
  readonly seedTrades: (market: number, upTo: JournalSequence) => Promise<readonly PublicTrade[]>;
};

/** Trades kept per market. */
export const RECENT_TRADES_MAX = 500;
/** Frames kept while a snapshot is fetched; beyond it the fetch starts again. */
const BUFFERED_FRAMES_MAX = 50_000;
const SNAPSHOT_TIMEOUT_MS = 2_000;
const SNAPSHOT_RETRY_MS = 100;

type Book = {
  readonly bids: BookSide;
  readonly asks: BookSide;
  depthSeq: JournalSequence;
  tradesSeq: JournalSequence;
  timestampMs: TimestampMs;
  /** Ascending by id. */
  trades: PublicTrade[];
};

export class MarketDataView {
  private readonly options: MarketDataOptions;
  private readonly listeners = new Set<(delta: MarketDelta) => void>();
  private books = new Map<number, Book>();
  /** Last command applied; undefined while a snapshot is awaited. */
  private last: JournalSequence | undefined;
  private buffered: AppliedCommand[] = [];
  private syncing: Promise<void> | undefined;
  private stopped = false;
  private unsubscribe: Stop | undefined;

  constructor(options: MarketDataOptions) {
    this.options = options;
  }

  /** Subscribes, and resolves once there is a first picture: waits for an engine to answer as long as it takes. */
  async start(): Promise<void> {
    this.unsubscribe = await this.options.events.subscribe({
      onApplied: (frames) => this.receive(frames),
      onGap: () => this.resync(),
    });
    this.resync();
    await this.syncing;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.unsubscribe?.();
    await this.syncing;
  }

  get synced(): boolean {
    return this.last !== undefined;
  }

  /** The best `levels` of each side; undefined for a market that is not known. */
  depth(market: number, levels: number): Depth | undefined {
    const book = this.books.get(market);
    if (book === undefined) return undefined;
    const { depthSeq: seq, timestampMs } = book;
    return { market, seq, timestampMs, bids: book.bids.top(levels), asks: book.asks.top(levels) };
  }

  /** The latest trades, newest first, and the `seq` that the next delta's `prevSeq` will name. */
  trades(market: number, limit: number): { seq: JournalSequence; trades: readonly PublicTrade[] } | undefined {
    const book = this.books.get(market);
    if (book === undefined) return undefined;
    return { seq: book.tradesSeq, trades: book.trades.slice(-limit).reverse() };
  }

  /** Calls the listener with every delta from now on. Read the snapshot in the same turn to miss nothing. */
  subscribe(listener: (delta: MarketDelta) => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  private receive(frames: readonly AppliedCommand[]): void {
    if (this.last === undefined) {
      for (const frame of frames) this.buffered.push(frame);
      if (this.buffered.length > BUFFERED_FRAMES_MAX) this.buffered = [];
      return;
    }
    for (const frame of frames) {
      if (frame.sequence <= this.last) continue;
      if (frame.sequence !== this.last + 1) {
        this.resync();
        return;
      }
      this.last = frame.sequence;
      for (const delta of this.apply(frame)) this.tell(delta);
    }
  }

  private resync(): void {
    this.last = undefined;
    this.buffered = [];
    this.syncing ??= this.sync().finally(() => {
      this.syncing = undefined;
    });
  }

  private async sync(): Promise<void> {
    while (!this.stopped && this.last === undefined) {
      const snapshot = await this.options.snapshots.requestSnapshot(SNAPSHOT_TIMEOUT_MS);
      if (snapshot === undefined || !(await this.startFrom(snapshot))) await pause(SNAPSHOT_RETRY_MS);
    }
  }

  /** False when frames between the snapshot and the buffered ones are missing. */
  private async startFrom(snapshot: BookSnapshot): Promise<boolean> {
    const books = new Map<number, Book>();
    for (const { market, bids, asks } of snapshot.books) {
      const seeded = await this.options.seedTrades(market, snapshot.sequence);
      books.set(market, {
        bids: new BookSide('bids', bids),
        asks: new BookSide('asks', asks),
        depthSeq: snapshot.sequence,
        tradesSeq: snapshot.sequence,
        timestampMs: (seeded[0]?.timestampMs ?? 0) as TimestampMs,
        trades: seeded.toSorted((a, b) => a.tradeId - b.tradeId).slice(-RECENT_TRADES_MAX),
      });
    }
    const later = this.buffered.filter((frame) => frame.sequence > snapshot.sequence);
    this.buffered = [];
    if (!isContinuous(snapshot.sequence, later)) return false;
    this.books = books;
    for (const frame of later) this.apply(frame);
    this.last = later.at(-1)?.sequence ?? snapshot.sequence;
    this.tell({ kind: 'resync' });
    return true;
  }

  private apply(frame: AppliedCommand): MarketDelta[] {
    const deltas: MarketDelta[] = [];
    for (const [market, { levels, trades }] of groupByMarket(frame)) {
      const book = this.bookOf(market);
      if (levels.length > 0) {
        const bids: Level[] = [];
        const asks: Level[] = [];
        for (const { side, price, size } of levels) {
          (side === 'buy' ? book.bids : book.asks).set(price, size);
          (side === 'buy' ? bids : asks).push([price, size]);
        }
        const prevSeq = book.depthSeq;
        book.depthSeq = frame.sequence;
        book.timestampMs = frame.timestampMs;
        deltas.push({
          kind: 'depth',
          market,
          seq: frame.sequence,
          prevSeq,
          timestampMs: frame.timestampMs,
          bids,
          asks,
        });
      }
      if (trades.length > 0) {
        // Seeded trades can overlap with frames; ids tell.
        const lastId = book.trades.at(-1)?.tradeId ?? 0;
        const fresh = trades.filter((trade) => trade.tradeId > lastId);
        book.trades.push(...fresh);
        if (book.trades.length > 2 * RECENT_TRADES_MAX) book.trades = book.trades.slice(-RECENT_TRADES_MAX);
        const prevSeq = book.tradesSeq;
        book.tradesSeq = frame.sequence;
        deltas.push({ kind: 'trades', market, seq: frame.sequence, prevSeq, trades: fresh });
      }
    }
    return deltas;
  }

  private bookOf(market: number): Book {
    const known = this.books.get(market);
    if (known !== undefined) return known;
    const book: Book = {
      bids: new BookSide('bids'),
      asks: new BookSide('asks'),
      depthSeq: 0 as JournalSequence,
      tradesSeq: 0 as JournalSequence,
      timestampMs: 0 as TimestampMs,
      trades: [],
    };
    this.books.set(market, book);
    return book;
  }

  private tell(delta: MarketDelta): void {
    for (const listener of this.listeners) listener(delta);
  }
}

type LevelEvent = Extract<EngineEvent, { kind: 'levelChanged' }>;

function groupByMarket(frame: AppliedCommand): Map<number, { levels: LevelEvent[]; trades: PublicTrade[] }> {
  const groups = new Map<number, { levels: LevelEvent[]; trades: PublicTrade[] }>();
  for (const event of frame.events) {
    if (event.kind !== 'levelChanged' && event.kind !== 'trade') continue;
    let group = groups.get(event.market);
    if (group === undefined) {
      group = { levels: [], trades: [] };
      groups.set(event.market, group);
    }
    if (event.kind === 'levelChanged') group.levels.push(event);
    else {
      const { tradeId, market, price: priceTicks, size: sizeLots, takerSide } = event;
      group.trades.push({ tradeId, market, priceTicks, sizeLots, takerSide, timestampMs: frame.timestampMs });
    }
  }
  return groups;
}

function isContinuous(start: JournalSequence, frames: readonly AppliedCommand[]): boolean {
  return frames.every((frame, index) => frame.sequence === start + 1 + index);
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
