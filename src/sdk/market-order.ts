/**
 * Market orders: orders that take what is there at once, down to a bound, since a signature without a bound would let anybody set the
 * price. The bound is the best price that stands now, made worse by the slippage that is allowed, on tick.
 */
import { formatPrice, parsePrice } from '../domain/markets.ts';
import type { Side } from '../domain/orders.ts';
import type { PriceTicks } from '../domain/units.ts';
import { TallystickError } from './errors.ts';
import type { MarketRules } from './sign-order.ts';
import type { NewOrderInput } from './types.ts';

const PPM = 1_000_000n;

/** As an order, without what makes it one with a limit. */
export type MarketOrderInput = Omit<NewOrderInput, 'price' | 'timeInForce' | 'postOnly' | 'stop'> & {
  /** How much worse than the best price it may trade, in parts per million: 5,000 is half a percent. */
  readonly slippagePpm: number;
};

/** What the depth of a market begins with: [price, size], best first. */
export type TopOfBook = {
  readonly bids: readonly (readonly string[])[];
  readonly asks: readonly (readonly string[])[];
};

/** @throws TallystickError as `boundOf` */
export function withBound(
  { slippagePpm, ...input }: MarketOrderInput,
  { bids, asks }: TopOfBook,
  rules: MarketRules,
): NewOrderInput {
  const [best] = input.side === 'buy' ? asks : bids;
  return {
    ...input,
    price: boundOf({ side: input.side, slippagePpm, bestPrice: best?.[0], rules }),
    timeInForce: 'ioc',
  };
}

/**
 * The worst price that the order may pay or get, never worse than the slippage allows.
 * @throws TallystickError INVALID_ARGUMENT when the slippage is not one, NO_LIQUIDITY when nobody stands on the other side
 */
function boundOf(options: {
  readonly side: Side;
  readonly slippagePpm: number;
  /** Of the other side, as the API shows it. */
  readonly bestPrice: string | undefined;
  readonly rules: MarketRules;
}): string {
  const { side, slippagePpm, bestPrice, rules } = options;
  const { market, base, quote } = rules;
  if (!Number.isInteger(slippagePpm) || slippagePpm < 0 || slippagePpm >= Number(PPM)) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `slippagePpm must be an integer from 0 to 999999, got ${slippagePpm}`,
    );
  }
  const best = bestPrice === undefined ? undefined : parsePrice(bestPrice, market, base, quote);
  if (best === undefined || best === 0) {
    const other = side === 'buy' ? 'sells' : 'buys';
    throw new TallystickError('NO_LIQUIDITY', `nobody ${other} in ${market.symbol} now; place an order with a limit`);
  }
  // Towards the best price: what is not a whole tick is given to the user.
  const worst =
    side === 'buy'
      ? (BigInt(best) * (PPM + BigInt(slippagePpm))) / PPM
      : (BigInt(best) * (PPM - BigInt(slippagePpm)) + PPM - 1n) / PPM;
  const bound = worst > BigInt(market.maxPriceTicks) ? market.maxPriceTicks : Number(worst);
  return formatPrice(bound as PriceTicks, market, base, quote);
}
