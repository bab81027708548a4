/**
 * Listed assets and markets by name, token and index. Listings are immutable and states change seldom, so they are kept for a
 * second; a name that is not known is looked up again at once, but not more often than five times a second.
 */
import type { Listing } from '../chain/signed-order.ts';
import { createListing } from '../chain/signed-order.ts';
import type { Asset, Market, MarketState } from '../domain/markets.ts';
import type { Address } from '../domain/units.ts';
import type { ListedParameters } from '../storage/queries/listings.ts';
import { notFound } from './problem.ts';

export type ListedMarket = {
  readonly market: Market;
  readonly base: Asset;
  readonly quote: Asset;
  readonly state: MarketState;
  readonly parameters: ListedParameters;
};

export type Listings = {
  readonly assets: readonly Asset[];
  readonly markets: readonly {
    readonly market: Market;
    readonly state: MarketState;
    readonly parameters: ListedParameters;
  }[];
};

const FRESH_MS = 1_000;
const REREAD_INTERVAL_MS = 200;

export class MarketCatalogue {
  readonly #read: () => Promise<Listings>;
  readonly #clock: () => number;
  #loaded: Indexed;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  readonly #wrappedNative: Address | undefined;

  /** `wrappedNative`: the token that withdrawals of the native currency unwrap, when it is listed. */
  constructor(read: () => Promise<Listings>, clock: () => number, wrappedNative?: Address) {
    this.#read = read;
    this.#clock = clock;
    this.#wrappedNative = wrappedNative;
    this.#loaded = index({ assets: [], markets: [] }, wrappedNative);
  }

  async markets(): Promise<readonly ListedMarket[]> {
    return (await this.#fresh(FRESH_MS)).markets;
  }

  async assets(): Promise<readonly Asset[]> {
    return (await this.#fresh(FRESH_MS)).assets;
  }

  /** @throws ProblemError NOT_FOUND */
  async market(symbol: string): Promise<ListedMarket> {
    return this.#find(
      (loaded) => loaded.bySymbol.get(symbol.toUpperCase()),
      `There is no market ${symbol}; GET /api/v1/markets lists them.`,
    );
  }

  /** By index, which came from our own tables. @throws ProblemError NOT_FOUND */
  async marketAt(marketIndex: number): Promise<ListedMarket> {
    return this.#find((loaded) => loaded.byIndex.get(marketIndex), `There is no market number ${marketIndex}.`);
  }

  /** Pairs and tokens, for reading signed messages. */
  async listing(): Promise<Listing> {
    return (await this.#fresh(FRESH_MS)).listing;
  }

  /** Undefined when what was read last is fresh enough for `peekListing`; else resolves when it has been read again. */
  refresh(): Promise<unknown> | undefined {
    return this.#clock() - this.#readAtMs >= FRESH_MS ? this.#fresh(FRESH_MS) : undefined;
  }

  peekListing(): Listing {
    return this.#loaded.listing;
  }

  /** By symbol. @throws ProblemError NOT_FOUND */
  async asset(symbol: string): Promise<Asset> {
    return this.#find(
      (loaded) => loaded.assets.find((asset) => asset.symbol.toUpperCase() === symbol.toUpperCase()),
      `There is no asset ${symbol}; GET /api/v1/assets lists them.`,
    );
  }

  /** @throws ProblemError NOT_FOUND */
  async assetAt(assetIndex: number): Promise<Asset> {
    return this.#find((loaded) => loaded.assetByIndex.get(assetIndex), `There is no asset number ${assetIndex}.`);
  }

  /** As last read; the stream uses these between events. Undefined before the first read or when not listed. */
  peekMarket(marketIndex: number): ListedMarket | undefined {
    return this.#loaded.byIndex.get(marketIndex);
  }

  peekAsset(assetIndex: number): Asset | undefined {
    return this.#loaded.assetByIndex.get(assetIndex);
  }

  async #find<T>(find: (loaded: Indexed) => T | undefined, message: string): Promise<T> {
    const found = find(await this.#fresh(FRESH_MS)) ?? find(await this.#fresh(REREAD_INTERVAL_MS));
    if (found === undefined) throw notFound(message);
    return found;
  }

  async #fresh(maxAgeMs: number): Promise<Indexed> {
    if (this.#clock() - this.#readAtMs >= maxAgeMs) {
      this.#reading ??= this.#read()
        .then((listings) => {
          this.#loaded = index(listings, this.#wrappedNative);
          this.#readAtMs = this.#clock();
        })
        .finally(() => {
          this.#reading = undefined;
        });
      await this.#reading;
    }
    return this.#loaded;
  }
}

type Indexed = {
  readonly assets: readonly Asset[];
  readonly markets: readonly ListedMarket[];
  readonly bySymbol: ReadonlyMap<string, ListedMarket>;
  readonly byIndex: ReadonlyMap<number, ListedMarket>;
  readonly listing: Listing;
  readonly assetByIndex: ReadonlyMap<number, Asset>;
};

function index(listings: Listings, wrappedNative: Address | undefined): Indexed {
  const assetByIndex = new Map(listings.assets.map((asset) => [asset.index, asset]));
  const markets: ListedMarket[] = [];
  for (const listed of listings.markets) {
    const base = assetByIndex.get(listed.market.baseAsset);
    const quote = assetByIndex.get(listed.market.quoteAsset);
    // The vault lists a market only after both assets; a read between the two shows it at the next.
    if (base !== undefined && quote !== undefined) markets.push({ ...listed, base, quote });
  }
  return {
    assets: listings.assets,
    markets,
    bySymbol: new Map(markets.map((listed) => [listed.market.symbol.toUpperCase(), listed])),
    byIndex: new Map(markets.map((listed) => [listed.market.index, listed])),
    listing: createListing(
      listings.assets,
      markets.map((listed) => listed.market),
      wrappedNative,
    ),
    assetByIndex,
  };
}
