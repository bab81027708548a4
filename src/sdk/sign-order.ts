/** Turns what a user means (market, side, decimal price and size) into the typed data that a wallet signs. */
import { hashTypedData } from 'viem';
import type { Asset, Market } from '../domain/markets.ts';
import { baseUnits, formatAmount, formatPrice, parsePrice, parseSize, quoteUnits } from '../domain/markets.ts';
import { packNonce } from '../domain/orders.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import { ORDER_TYPES } from '../domain/typed-data.ts';
import type { Address } from '../domain/units.ts';
import { FEE_PPM_MAX, fitsNotional, priceTicks } from '../domain/units.ts';
import { TallystickError } from './errors.ts';
import type { TypedData } from './signers.ts';
import type { NewOrderInput } from './types.ts';

export type MarketRules = {
  readonly market: Market;
  readonly base: Asset;
  readonly quote: Asset;
  readonly makerFeePpm: number;
  readonly takerFeePpm: number;
};

/** The signed message as the API takes it: integers as decimal strings. */
export type OrderMessageJson = {
  readonly account: string;
  readonly side: string;
  readonly baseToken: string;
  readonly baseAmount: string;
  readonly quoteToken: string;
  readonly quoteAmount: string;
  readonly timeInForce: string;
  readonly postOnly: boolean;
  readonly nonce: string;
  readonly expiry: string;
  readonly maxFeePpm: number;
};

/**
 * @throws TallystickError INVALID_ARGUMENT when price or size is not a plain decimal on the market's tick and lot, or too large;
 * the message says what the step is.
 */
export function orderTypedData(options: {
  account: string;
  input: NewOrderInput;
  rules: MarketRules;
  domain: Eip712Domain;
  lane: number;
  orderSequence: number;
  /** Unix seconds. */
  expiry: number;
}): { typedData: TypedData; message: OrderMessageJson } {
  const { input, rules, domain } = options;
  const { market, base, quote } = rules;
  const size = parseSize(input.size, market, base);
  if (size === undefined || size === 0) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `size must be a multiple of ${formatAmount(market.lotQuanta, base)} ${base.symbol}, above zero and at most ${formatAmount(market.maxSizeLots * market.lotQuanta, base)}, got "${input.size}"`,
    );
  }
  const price = parsePrice(input.price, market, base, quote);
  if (price === undefined || price === 0) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `price must be a multiple of ${formatPrice(priceTicks(1), market, base, quote)} ${quote.symbol}, above zero and at most ${formatPrice(market.maxPriceTicks, market, base, quote)}, got "${input.price}"`,
    );
  }
  if (!fitsNotional(price, size, market)) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `${input.size} at ${input.price} is more than the exchange can account for`,
    );
  }
  const maxFeePpm = input.maxFeePpm ?? Math.max(rules.makerFeePpm, rules.takerFeePpm);
  if (!Number.isInteger(maxFeePpm) || maxFeePpm < 0 || maxFeePpm > FEE_PPM_MAX) {
    throw new TallystickError(
      'INVALID_ARGUMENT',
      `maxFeePpm must be an integer from 0 to ${FEE_PPM_MAX}, got ${maxFeePpm}`,
    );
  }
  const values = {
    account: options.account,
    side: input.side,
    baseToken: base.token,
    baseAmount: baseUnits(size, market, base),
    quoteToken: quote.token,
    quoteAmount: quoteUnits(price, size, market, quote),
    timeInForce: input.timeInForce ?? 'gtc',
    postOnly: input.postOnly ?? false,
    nonce: packNonce(options.lane, options.orderSequence),
    expiry: BigInt(options.expiry),
    maxFeePpm,
  };
  return {
    typedData: { domain, types: ORDER_TYPES, primaryType: 'Order', message: values },
    message: {
      ...values,
      baseAmount: values.baseAmount.toString(),
      quoteAmount: values.quoteAmount.toString(),
      nonce: values.nonce.toString(),
      expiry: values.expiry.toString(),
    },
  };
}

/** The EIP-712 digest of an order: its id at the exchange. */
export function orderDigest(order: OrderMessageJson, domain: Eip712Domain): string {
  return hashTypedData({
    domain,
    types: ORDER_TYPES,
    primaryType: 'Order',
    message: {
      ...order,
      account: order.account as Address,
      baseToken: order.baseToken as Address,
      quoteToken: order.quoteToken as Address,
      baseAmount: BigInt(order.baseAmount),
      quoteAmount: BigInt(order.quoteAmount),
      nonce: BigInt(order.nonce),
      expiry: BigInt(order.expiry),
    },
  });
}

/** What a wallet will show, line by line, in words: for a preview next to the signing button. */
export function explainSignature(typedData: TypedData, rules: MarketRules): string[] {
  const message = typedData.message as Record<string, string | bigint | number | boolean>;
  const amount = (units: unknown, asset: Asset): string =>
    `${formatAmount(BigInt(units as bigint) / asset.quantumUnits, asset)} ${asset.symbol}`;
  const selling = message['side'] === 'sell';
  return [
    `${selling ? 'Sell' : 'Buy'} ${amount(message['baseAmount'], rules.base)} ${selling ? 'for at least' : 'for at most'} ${amount(message['quoteAmount'], rules.quote)}; partial fills pro rata.`,
    `Fee: at most ${Number(message['maxFeePpm']) / 10_000} % of the ${rules.quote.symbol} amount, on top.`,
    `Valid until ${new Date(Number(message['expiry']) * 1000).toISOString()}, time in force ${String(message['timeInForce'])}${message['postOnly'] === true ? ', post-only' : ''}.`,
    `Only for the vault ${typedData.domain.verifyingContract} on chain ${typedData.domain.chainId}.`,
  ];
}
