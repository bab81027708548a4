/**
 * Listed assets and markets by name, token and index. Listings are immutable and states change seldom, so they are kept for a
 * second; a name that is not known is looked up again at once, but not more often than five times a second.
 */
import type { Asset, Market, MarketParameters, MarketState } from '../domain/markets.ts';
import type { Address } from '../domain/units.ts';
import { notFound } from './problem.ts';

export type ListedMarket = {
  readonly market: Market;
  readonly base: Asset;
  readonly quote: Asset;
  readonly state: MarketState;
  readonly parameters: MarketParameters;
};

export type Listings = {
  readonly assets: readonly Asset[];
  readonly markets: readonly {
    readonly market: Market;
    readonly state: MarketState;
    readonly parameters: MarketParameters;
  }[];
};

const FRESH_MS = 1_000;
const REREAD_INTERVAL_MS = 200;

export class MarketCatalogue {
  readonly #read: () => Promise<Listings>;
  readonly #clock: () => number;
  #loaded: Indexed = index({ assets: [], markets: [] });
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(read: () => Promise<Listings>, clock: () => number) {
    this.#read = read;
    this.#clock = clock;
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

  /** Undefined when no market trades this pair. */
  async pair(baseToken: Address, quoteToken: Address): Promise<ListedMarket | undefined> {
    const find = (loaded: Indexed): ListedMarket | undefined => loaded.byPair.get(`${baseToken}/${quoteToken}`);
    return find(await this.#fresh(FRESH_MS)) ?? find(await this.#fresh(REREAD_INTERVAL_MS));
  }

  /** Undefined when the token is not listed. */
  async assetOf(token: Address): Promise<Asset | undefined> {
    const find = (loaded: Indexed): Asset | undefined => loaded.byToken.get(token);
    return find(await this.#fresh(FRESH_MS)) ?? find(await this.#fresh(REREAD_INTERVAL_MS));
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
          this.#loaded = index(listings);
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
  readonly byPair: ReadonlyMap<string, ListedMarket>;
  readonly byToken: ReadonlyMap<string, Asset>;
  readonly assetByIndex: ReadonlyMap<number, Asset>;
};

function index(listings: Listings): Indexed {
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
    byPair: new Map(markets.map((listed) => [`${listed.base.token}/${listed.quote.token}`, listed])),
    byToken: new Map(listings.assets.map((asset) => [asset.token, asset])),
    assetByIndex,
  };
}
