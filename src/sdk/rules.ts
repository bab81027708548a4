/** Market rules as the exchange has them now: fetched, refreshed when old or when a name is unknown, never assumed. */
import type { Asset, Market } from '../domain/markets.ts';
import type { Address, Lots, PriceTicks, Quanta } from '../domain/units.ts';
import { TallystickError } from './errors.ts';
import type { HttpClient } from './http.ts';
import type { MarketRules } from './sign-order.ts';
import type { Page } from './types.ts';

type AssetJson = {
  readonly index: number;
  readonly symbol: string;
  readonly token: string;
  readonly decimals: number;
  readonly quantumUnits: string;
  readonly minDepositQuanta: number;
};

type MarketJson = {
  readonly symbol: string;
  readonly index: number;
  readonly baseAssetIndex: number;
  readonly quoteAssetIndex: number;
  readonly makerFeePpm: number;
  readonly takerFeePpm: number;
  readonly lotQuanta: number;
  readonly tickQuanta: number;
  readonly maxSizeLots: number;
  readonly maxPriceTicks: number;
};

const FRESH_MS = 60_000;

export type RuleBook = {
  /** @throws TallystickError INVALID_ARGUMENT naming the markets there are */
  market(symbol: string): Promise<MarketRules>;
  /** @throws TallystickError INVALID_ARGUMENT naming the assets there are */
  asset(symbol: string): Promise<Asset>;
  markets(): Promise<readonly MarketRules[]>;
};

export function createRuleBook(http: HttpClient, now: () => number): RuleBook {
  let assets = new Map<string, Asset>();
  let markets = new Map<string, MarketRules>();
  let fetchedAtMs = Number.NEGATIVE_INFINITY;

  async function refresh(): Promise<void> {
    const [assetPage, marketPage] = await Promise.all([
      http.request<Page<AssetJson>>('/api/v1/assets'),
      http.request<Page<MarketJson>>('/api/v1/markets'),
    ]);
    assets = new Map(assetPage.data.map((json) => [json.symbol, toAsset(json)]));
    const byIndex = new Map([...assets.values()].map((asset) => [asset.index, asset]));
    markets = new Map();
    for (const json of marketPage.data) {
      const base = byIndex.get(json.baseAssetIndex);
      const quote = byIndex.get(json.quoteAssetIndex);
      if (base === undefined || quote === undefined) continue;
      const { makerFeePpm, takerFeePpm } = json;
      markets.set(json.symbol, { market: toMarket(json), base, quote, makerFeePpm, takerFeePpm });
    }
    fetchedAtMs = now();
  }

  async function find<T>(symbol: string, kind: string, of: () => ReadonlyMap<string, T>): Promise<T> {
    if (now() - fetchedAtMs > FRESH_MS) await refresh();
    let found = of().get(symbol);
    if (found === undefined) {
      await refresh();
      found = of().get(symbol);
    }
    if (found !== undefined) return found;
    const known = [...of().keys()].join(', ') || 'none';
    throw new TallystickError('INVALID_ARGUMENT', `${kind} must be one of ${known}, got "${symbol}"`);
  }

  return {
    market: (symbol) => find(symbol, 'market', () => markets),
    asset: (symbol) => find(symbol, 'asset', () => assets),
    async markets() {
      if (now() - fetchedAtMs > FRESH_MS) await refresh();
      return [...markets.values()];
    },
  };
}

function toAsset(json: AssetJson): Asset {
  return {
    index: json.index,
    token: json.token.toLowerCase() as Address,
    symbol: json.symbol,
    decimals: json.decimals,
    quantumUnits: BigInt(json.quantumUnits),
    minDeposit: json.minDepositQuanta as Quanta,
  };
}

function toMarket(json: MarketJson): Market {
  return {
    index: json.index,
    symbol: json.symbol,
    baseAsset: json.baseAssetIndex,
    quoteAsset: json.quoteAssetIndex,
    lotQuanta: json.lotQuanta as Quanta,
    tickQuanta: json.tickQuanta as Quanta,
    maxSizeLots: json.maxSizeLots as Lots,
    maxPriceTicks: json.maxPriceTicks as PriceTicks,
  };
}
