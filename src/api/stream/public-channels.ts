/**
 * What everyone may follow: depth and trades from the live market data, tickers and batches from the database, looked at twice a
 * second while anybody follows them. Channels are made when first followed and kept from then on.
 */
import type { Pool } from 'pg';
import type { TimestampMs } from '../../domain/units.ts';
import type { MarketDataView, MarketDelta, PublicTrade } from '../../messaging/market-data.ts';
import { listBatches } from '../../storage/queries/batches.ts';
import { listTickers } from '../../storage/queries/market-statistics.ts';
import type { ListedMarket, MarketCatalogue } from '../market-catalogue.ts';
import { bestPrices, depthChecksum, levelTexts } from '../market-data-views.ts';
import { batchView, priceText, sizeText, tickerView } from '../views.ts';
import { Channel } from './channel.ts';

const POLL_INTERVAL_MS = 500;
const BATCHES_SHOWN = 50;
const TRADES_SHOWN = 100;
const CHECKSUM_LEVELS = 10;
/** A snapshot must be whole: deltas beyond it would show levels between gaps. */
const SNAPSHOT_LEVELS = 100_000;

export type PublicChannelsOptions = {
  readonly marketData: MarketDataView;
  readonly catalogue: MarketCatalogue;
  readonly pool: Pool;
  readonly clock: () => number;
  readonly onProblem: (error: unknown) => void;
};

type Polled = { readonly bodies: Map<string, object>; readonly texts: Map<string, string> };

export class PublicChannels {
  readonly #using: PublicChannelsOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #unsubscribe: () => void;
  readonly #tickers: Polled = { bodies: new Map(), texts: new Map() };
  readonly #batches: Polled = { bodies: new Map(), texts: new Map() };
  /** Of polled channels, by key. */
  readonly #seqs = new Map<string, number>();
  readonly #firstSeq: number;
  #poll: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;

  constructor(options: PublicChannelsOptions) {
    this.#using = options;
    // Counted up from the clock, so that a sequence of another gateway, or of an earlier start, does not fit by accident.
    this.#firstSeq = options.clock();
    this.#unsubscribe = options.marketData.subscribe((delta) => this.#relay(delta));
  }

  /** The channel with its first picture there. */
  async open(channel: 'depth' | 'trades' | 'ticker', listed: ListedMarket): Promise<Channel> {
    const made = this.#make(`${channel}:${listed.market.index}`, () => this.#marketChannel(channel, listed));
    if (channel === 'ticker') await this.#startPolling();
    return made;
  }

  async openBatches(): Promise<Channel> {
    const made = this.#make('batches', () => new Channel({ channel: 'batches' }, () => this.#batchesSnapshot()));
    await this.#startPolling();
    return made;
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    clearInterval(this.#poll);
    await this.#polling;
  }

  #make(key: string, make: () => Channel): Channel {
    const known = this.#channels.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#channels.set(key, made);
    return made;
  }

  #marketChannel(channel: 'depth' | 'trades' | 'ticker', listed: ListedMarket): Channel {
    const { marketData } = this.#using;
    const { index, symbol } = listed.market;
    return new Channel({ channel, market: symbol }, () => {
      if (channel === 'ticker') {
        return { seq: this.#seqOf(`ticker:${index}`), body: { ticker: this.#tickers.bodies.get(symbol) ?? null } };
      }
      if (channel === 'trades') {
        const recent = marketData.trades(index, TRADES_SHOWN);
        const trades = (recent?.trades ?? []).map((trade) => publicTradeView(trade, listed));
        return { seq: recent?.seq ?? 0, body: { trades } };
      }
      const depth = marketData.depth(index, SNAPSHOT_LEVELS);
      const bids = levelTexts(depth?.bids ?? [], listed);
      const asks = levelTexts(depth?.asks ?? [], listed);
      return {
        seq: depth?.seq ?? 0,
        body: { bids, asks, checksum: depthChecksum(bids, asks), time: depth?.timestampMs ?? 0 },
      };
    });
  }

  #relay(delta: MarketDelta): void {
    if (delta.kind === 'resync') {
      for (const [key, channel] of this.#channels) if (/^(depth|trades):/.test(key)) channel.resync();
      return;
    }
    const channel = this.#channels.get(`${delta.kind}:${delta.market}`);
    const listed = this.#using.catalogue.peekMarket(delta.market);
    if (channel === undefined || listed === undefined) return;
    const { seq, prevSeq } = delta;
    if (delta.kind === 'trades') {
      const trades = delta.trades.map((trade) => publicTradeView(trade, listed));
      channel.publish({ seq, prevSeq, body: { trades } });
      return;
    }
    const best = this.#using.marketData.depth(delta.market, CHECKSUM_LEVELS);
    const checksum = depthChecksum(levelTexts(best?.bids ?? [], listed), levelTexts(best?.asks ?? [], listed));
    const body = {
      bids: levelTexts(delta.bids, listed),
      asks: levelTexts(delta.asks, listed),
      checksum,
      time: delta.timestampMs,
    };
    channel.publish({ seq, prevSeq, body });
  }

  async #startPolling(): Promise<void> {
    this.#poll ??= setInterval(() => void this.#pollOnce(), POLL_INTERVAL_MS).unref();
    await this.#pollOnce();
  }

  #pollOnce(): Promise<void> {
    this.#polling ??= this.#lookUp()
      .catch((error: unknown) => this.#using.onProblem(error))
      .finally(() => {
        this.#polling = undefined;
      });
    return this.#polling;
  }

  async #lookUp(): Promise<void> {
    const isFollowed = (key: RegExp): boolean =>
      [...this.#channels].some(
        ([name, channel]) => key.test(name) && (channel.subscriberCount > 0 || this.#isEmpty(name)),
      );
    if (isFollowed(/^ticker:/)) await this.#lookUpTickers();
    if (isFollowed(/^batches$/)) await this.#lookUpBatches();
  }

  #isEmpty(name: string): boolean {
    return (name === 'batches' ? this.#batches : this.#tickers).texts.size === 0;
  }

  async #lookUpTickers(): Promise<void> {
    const { pool, clock, catalogue, marketData } = this.#using;
    const [tickers, markets] = await Promise.all([listTickers(pool, clock() as TimestampMs), catalogue.markets()]);
    for (const listed of markets) {
      const row = tickers.find((ticker) => ticker.market === listed.market.index);
      if (row === undefined) continue;
      const ticker = tickerView(row, bestPrices(marketData, row.market), listed);
      this.#publishIfChanged(this.#tickers, listed.market.symbol, ticker, `ticker:${row.market}`, { ticker });
    }
  }

  async #lookUpBatches(): Promise<void> {
    const { rows } = await listBatches(this.#using.pool, { limit: BATCHES_SHOWN });
    for (const row of rows.toReversed()) {
      const batch = batchView(row);
      this.#publishIfChanged(this.#batches, String(row.batchId), batch, 'batches', { batches: [batch] });
    }
    const shown = new Set(rows.map((row) => String(row.batchId)));
    for (const id of this.#batches.bodies.keys()) {
      if (shown.has(id)) continue;
      this.#batches.bodies.delete(id);
      this.#batches.texts.delete(id);
    }
  }

  #publishIfChanged(polled: Polled, key: string, view: object, channelKey: string, body: object): void {
    const text = JSON.stringify(view);
    if (polled.texts.get(key) === text) return;
    polled.texts.set(key, text);
    polled.bodies.set(key, view);
    const prevSeq = this.#seqOf(channelKey);
    this.#seqs.set(channelKey, prevSeq + 1);
    this.#channels.get(channelKey)?.publish({ seq: prevSeq + 1, prevSeq, body });
  }

  #seqOf(channelKey: string): number {
    return this.#seqs.get(channelKey) ?? this.#firstSeq;
  }

  #batchesSnapshot(): { seq: number; body: object } {
    const batches = [...this.#batches.bodies.entries()]
      .sort((a, b) => Number(b[0]) - Number(a[0]))
      .map(([, view]) => view);
    return { seq: this.#seqOf('batches'), body: { batches } };
  }
}

function publicTradeView(trade: PublicTrade, listed: ListedMarket): object {
  return {
    tradeId: trade.tradeId,
    price: priceText(trade.priceTicks, listed),
    size: sizeText(trade.sizeLots, listed),
    takerSide: trade.takerSide,
    time: trade.timestampMs,
  };
}
