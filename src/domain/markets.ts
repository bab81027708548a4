/** Assets and markets as listed on chain: immutable facts that arrive as chain events. */
import type { Address, Lots, Ppm, PriceTicks, Quanta } from './units.ts';
import { decimalToUnits, unitsToDecimal } from './units.ts';

export type Asset = {
  /** Order of listing on chain; decides the storage page. */
  readonly index: number;
  readonly token: Address;
  readonly symbol: string;
  /** Decimals of the token, for display only. */
  readonly decimals: number;
  /** Token base units per quantum. */
  readonly quantumUnits: bigint;
  /** Smallest deposit accepted by the vault. */
  readonly minDeposit: Quanta;
};

export type Market = {
  readonly index: number;
  /** `WETH-USDC` */
  readonly symbol: string;
  readonly baseAsset: number;
  readonly quoteAsset: number;
  /** Base quanta per lot (size step). */
  readonly lotQuanta: Quanta;
  /** Quote quanta per lot and tick: quote = lots × ticks × tickQuanta. */
  readonly tickQuanta: Quanta;
  readonly maxSizeLots: Lots;
  readonly maxPriceTicks: PriceTicks;
};

export type MarketState = 'open' | 'cancel_only' | 'halted';

/** What the operator sets off chain for a market; journaled, so replay sees the same. */
export type MarketParameters = {
  readonly makerFeePpm: Ppm;
  readonly takerFeePpm: Ppm;
  /** Smallest notional of an order, in quote quanta. */
  readonly minNotional: Quanta;
  /** Orders priced further than this from the last trade are refused; 0 switches the band off. */
  readonly priceBandPpm: number;
};

/** Fees of accounts whose volume over the last 30 complete UTC days is at least `volumeMin`. */
export type FeeTier = {
  /** Quote quanta of settled trades, as maker and as taker, in all markets with the same quote asset. */
  readonly volumeMin: Quanta;
  readonly makerFeePpm: Ppm;
  readonly takerFeePpm: Ppm;
};

/** The tier that applies at that volume, of tiers in rising order; undefined when the market's own fees do. */
export function tierAt(tiers: readonly FeeTier[], volume: Quanta): FeeTier | undefined {
  return tiers.findLast(({ volumeMin }) => volumeMin <= volume);
}

/** Most fee tiers of a market. */
export const FEE_TIERS_MAX = 16;

/** Asset 0 and 1 share page 0 with the account's header; the others lie four to a page. */
export function pageOfAsset(assetIndex: number): { page: number; slot: number } {
  if (assetIndex < 2) return { page: 0, slot: assetIndex };
  return { page: 1 + Math.floor((assetIndex - 2) / 4), slot: (assetIndex - 2) % 4 };
}

/** Token base units of the base asset in `size` lots. */
export function baseUnits(size: Lots, market: Market, base: Asset): bigint {
  return BigInt(size) * BigInt(market.lotQuanta) * base.quantumUnits;
}

/** Token base units of the quote asset for `size` lots at `price`. */
export function quoteUnits(price: PriceTicks, size: Lots, market: Market, quote: Asset): bigint {
  return BigInt(price) * BigInt(size) * BigInt(market.tickQuanta) * quote.quantumUnits;
}

/**
 * Price of one whole base token in whole quote tokens, as a decimal string; exact.
 * One tick = tickQuanta quote quanta per lot, and a lot is lotQuanta base quanta.
 * @throws RangeError when the market's tick is not a finite decimal of at most 36 places (refused at listing).
 */
export function formatPrice(price: PriceTicks, market: Market, base: Asset, quote: Asset): string {
  const { numerator, decimals } = tickScale(market, base, quote);
  return unitsToDecimal(BigInt(price) * numerator, decimals);
}

/** Ticks of a decimal price; undefined when it is not a plain decimal, or off tick, or out of range. */
export function parsePrice(text: string, market: Market, base: Asset, quote: Asset): PriceTicks | undefined {
  const { numerator, decimals } = tickScale(market, base, quote);
  const scaled = decimalToUnits(text, decimals);
  if (scaled === undefined || scaled % numerator !== 0n) return undefined;
  const ticks = scaled / numerator;
  return ticks > BigInt(market.maxPriceTicks) ? undefined : (Number(ticks) as PriceTicks);
}

/** Decimal size in whole base tokens; exact. */
export function formatSize(size: Lots, market: Market, base: Asset): string {
  return unitsToDecimal(baseUnits(size, market, base), base.decimals);
}

/** Lots of a decimal size; undefined when it is not a plain decimal, or off lot, or out of range. */
export function parseSize(text: string, market: Market, base: Asset): Lots | undefined {
  const units = decimalToUnits(text, base.decimals);
  const unitsPerLot = BigInt(market.lotQuanta) * base.quantumUnits;
  if (units === undefined || units % unitsPerLot !== 0n) return undefined;
  const size = units / unitsPerLot;
  return size > BigInt(market.maxSizeLots) ? undefined : (Number(size) as Lots);
}

/** Decimal amount of whole tokens; exact. */
export function formatAmount(amount: number | bigint, asset: Asset): string {
  return unitsToDecimal(BigInt(amount) * asset.quantumUnits, asset.decimals);
}

type TickScale = { readonly numerator: bigint; readonly decimals: number };

/** Found once per listing: each price that is shown needs it. */
const tickScales = new WeakMap<Market, { readonly base: Asset; readonly quote: Asset; readonly scale: TickScale }>();

/** One tick in quote tokens per base token, as numerator × 10^-decimals. */
function tickScale(market: Market, base: Asset, quote: Asset): TickScale {
  const known = tickScales.get(market);
  if (known !== undefined && known.base === base && known.quote === quote) return known.scale;
  const scale = findTickScale(market, base, quote);
  tickScales.set(market, { base, quote, scale });
  return scale;
}

function findTickScale(market: Market, base: Asset, quote: Asset): TickScale {
  const quoteUnitsPerTick = BigInt(market.tickQuanta) * quote.quantumUnits * 10n ** BigInt(base.decimals);
  const denominator = BigInt(market.lotQuanta) * base.quantumUnits * 10n ** BigInt(quote.decimals);
  for (let decimals = 0; decimals <= 36; decimals++) {
    const scaled = quoteUnitsPerTick * 10n ** BigInt(decimals);
    if (scaled % denominator === 0n) return { numerator: scaled / denominator, decimals };
  }
  throw new RangeError(`the tick of ${market.symbol} is not a finite decimal`);
}
