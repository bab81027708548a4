/** The live books as the API shows them. */
import { crc32 } from 'node:zlib';
import type { PriceTicks } from '../domain/units.ts';
import type { MarketDataView } from '../messaging/market-data.ts';
import type { Level } from '../messaging/port.ts';
import type { ListedMarket } from './market-catalogue.ts';
import type { DepthView } from './market-schemas.ts';
import { ProblemError } from './problem.ts';
import { priceText, sizeText } from './views.ts';

const CHECKSUM_LEVELS = 10;

/** @throws ProblemError NOT_READY while no picture of the books is there */
export function depthView(marketData: MarketDataView, listed: ListedMarket, levels: number): DepthView {
  if (!marketData.synced)
    throw new ProblemError('NOT_READY', 'The order book is being fetched; retry.', { retryAfterMs: 1_000 });
  const depth = marketData.depth(listed.market.index, Math.max(levels, CHECKSUM_LEVELS));
  const bids = levelTexts(depth?.bids ?? [], listed);
  const asks = levelTexts(depth?.asks ?? [], listed);
  return {
    market: listed.market.symbol,
    sequence: depth?.seq ?? 0,
    bids: bids.slice(0, levels),
    asks: asks.slice(0, levels),
    checksum: depthChecksum(bids, asks),
  };
}

export function levelTexts(levels: readonly Level[], listed: ListedMarket): [string, string][] {
  return levels.map(([price, size]) => [priceText(price, listed), sizeText(size, listed)]);
}

/** CRC32 over "bid price:bid size:ask price:ask size" of each of the ten best levels, joined by ":"; a missing side is left out. */
export function depthChecksum(bids: readonly (readonly string[])[], asks: readonly (readonly string[])[]): number {
  const parts: string[] = [];
  for (let level = 0; level < CHECKSUM_LEVELS; level++) {
    parts.push(...(bids[level] ?? []), ...(asks[level] ?? []));
  }
  return crc32(parts.join(':'));
}

export function bestPrices(
  marketData: MarketDataView,
  market: number,
): { readonly bid: PriceTicks | undefined; readonly ask: PriceTicks | undefined } {
  const depth = marketData.depth(market, 1);
  return { bid: depth?.bids[0]?.[0], ask: depth?.asks[0]?.[0] };
}
