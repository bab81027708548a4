/** What an order keeps locked, and which asset: a function of its terms and what is left, so that nothing is stored twice. */
import { feeOf, type Ppm, type Quanta } from '../domain/units.ts';
import * as orders from './book/order-pool.ts';
import type { MarketBook } from './state.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { SELL } = orders;

/**
 * Quanta locked for `lots` left: base for a sell; for a buy the notional at its limit plus the signed maximum fee on it,
 * rounded down. Fees of partial fills are rounded down each, so what is locked covers any way the rest can fill.
 */
export function lockedFor(market: MarketBook, side: number, price: number, lots: number, maxFeePpm: number): number {
  if (side === SELL) return lots * market.lotQuanta;
  const notional = lots * price * market.tickQuanta;
  return notional + feeOf(notional as Quanta, maxFeePpm as Ppm);
}
