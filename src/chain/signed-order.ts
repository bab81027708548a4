/**
 * From what a user signed to what the engine takes: token base units become lots, ticks and quanta, exactly or not at all.
 *
 * Refusals are values that name the field, so that a client is told everything that is wrong with a message at once.
 * Not judged here: whether the signer may sign for the account, whether the nonce is fresh, whether funds suffice; the engine decides.
 */
import type { Asset, Market } from '../domain/markets.ts';
import type { NewOrder, NewWithdrawal, Side, TimeInForce } from '../domain/orders.ts';
import { NATIVE_CURRENCY, unpackNonce } from '../domain/orders.ts';
import type { Address, Lots, Ppm, PriceTicks, Quanta, TimestampSeconds } from '../domain/units.ts';
import { FEE_PPM_MAX, PRICE_TICKS_MAX, SIZE_LOTS_MAX } from '../domain/units.ts';
import type { CheckedSignature } from './check-signature.ts';
import type { OrderMessage, WithdrawalMessage } from './digests.ts';

/** The signed order as JSON carries it: integers as decimal strings, addresses in any case. */
export type OrderFields = {
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

export type WithdrawalFields = {
  readonly account: string;
  readonly token: string;
  readonly amount: string;
  readonly recipient: string;
  readonly nonce: string;
  readonly expiry: string;
  readonly maxFee: string;
};

/** What a field is refused for, and the sentence a user reads. */
export const FIELD_PROBLEMS = {
  bad_address: 'An address is 0x and 40 hex digits.',
  bad_integer: 'Give a plain non-negative integer as a decimal string, within the range of its type.',
  bad_side: 'The side is buy or sell.',
  bad_time_in_force: 'The time in force is gtc, ioc, fok or gtd.',
  unknown_pair: 'No market is listed for this pair of tokens, in this order.',
  unknown_token: 'The token is not listed.',
  off_lot: 'The base amount is not a whole number of lots of the market.',
  off_tick: 'Quote amount over base amount is not a whole number of ticks of the market.',
  off_quantum: 'The amount is not a whole number of quanta of the asset.',
  size_zero: 'The size must be at least one lot.',
  size_too_large: 'The size is above the largest order of the market.',
  price_zero: 'The price must be at least one tick.',
  price_too_high: 'The price is above the highest price of the market.',
  amount_zero: 'The amount must be at least one quantum.',
  amount_too_large: 'The amount is more than the exchange can account for.',
  bad_nonce: 'A nonce is lane (upper 16 bits) and sequence (lower 48, below 2^40); the sequence is at least 1.',
  expiry_too_far: 'The expiry is further away than an order may live (30 days).',
  max_fee_too_high: 'The signed maximum fee is above the hard cap of 50,000 ppm.',
} as const;
export type FieldProblemCode = keyof typeof FIELD_PROBLEMS;

/** `field` is a member name of the signed message. */
export type FieldProblem = { readonly field: string; readonly code: FieldProblemCode; readonly message: string };
export type Invalid = { readonly kind: 'invalid'; readonly problems: readonly FieldProblem[] };

/** What is listed, by token address. */
export type Listing = {
  readonly pairOf: (baseToken: Address, quoteToken: Address) => Pair | undefined;
  /** The asset that a signed token stands for; the native currency stands for its wrapper. */
  readonly assetOf: (token: Address) => { readonly asset: Asset; readonly native: boolean } | undefined;
};
export type Pair = { readonly market: Market; readonly base: Asset; readonly quote: Asset };

/** `wrappedNative`: the token that a withdrawal of the native currency unwraps, when it is listed. */
export function createListing(assets: readonly Asset[], markets: readonly Market[], wrappedNative?: Address): Listing {
  const byIndex = new Map(assets.map((asset) => [asset.index, asset]));
  const byToken = new Map(assets.map((asset) => [asset.token, { asset, native: false }]));
  const wrapper = wrappedNative === undefined ? undefined : byToken.get(wrappedNative);
  if (wrapper !== undefined) byToken.set(NATIVE_CURRENCY, { asset: wrapper.asset, native: true });
  const pairs = new Map<string, Pair>();
  for (const market of markets) {
    const base = byIndex.get(market.baseAsset);
    const quote = byIndex.get(market.quoteAsset);
    // A pair listed again after a delisting is the later market.
    if (base !== undefined && quote !== undefined) pairs.set(`${base.token}/${quote.token}`, { market, base, quote });
  }
  return {
    pairOf: (baseToken, quoteToken) => pairs.get(`${baseToken}/${quoteToken}`),
    assetOf: (token) => byToken.get(token),
  };
}

/** Everything of a NewOrder that the signed message determines. */
export type OrderTerms = Pick<
  NewOrder,
  | 'account'
  | 'market'
  | 'side'
  | 'sizeLots'
  | 'priceTicks'
  | 'timeInForce'
  | 'postOnly'
  | 'lane'
  | 'orderSequence'
  | 'expiry'
  | 'maxFeePpm'
>;
export type WithdrawalTerms = Omit<NewWithdrawal, 'digest' | 'signature'>;

/** Reads the fields; in range for `Digester.order` when it is `parsed`. */
export function parseOrder(fields: OrderFields): { readonly kind: 'parsed'; readonly message: OrderMessage } | Invalid {
  const problems = new Problems();
  const message: OrderMessage = {
    account: problems.address('account', fields.account),
    side: fields.side,
    baseToken: problems.address('baseToken', fields.baseToken),
    baseAmount: problems.integer('baseAmount', fields.baseAmount, 256),
    quoteToken: problems.address('quoteToken', fields.quoteToken),
    quoteAmount: problems.integer('quoteAmount', fields.quoteAmount, 256),
    timeInForce: fields.timeInForce,
    postOnly: fields.postOnly,
    nonce: problems.integer('nonce', fields.nonce, 64),
    expiry: problems.integer('expiry', fields.expiry, 64),
    maxFeePpm: fields.maxFeePpm,
  };
  if (fields.side !== 'buy' && fields.side !== 'sell') problems.add('side', 'bad_side');
  if (!isTimeInForce(fields.timeInForce)) problems.add('timeInForce', 'bad_time_in_force');
  if (!Number.isInteger(fields.maxFeePpm) || fields.maxFeePpm < 0) problems.add('maxFeePpm', 'bad_integer');
  else if (fields.maxFeePpm > FEE_PPM_MAX) problems.add('maxFeePpm', 'max_fee_too_high');
  return problems.found() ?? { kind: 'parsed', message };
}

export function parseWithdrawal(
  fields: WithdrawalFields,
): { readonly kind: 'parsed'; readonly message: WithdrawalMessage } | Invalid {
  const problems = new Problems();
  const message: WithdrawalMessage = {
    account: problems.address('account', fields.account),
    token: problems.address('token', fields.token),
    amount: problems.integer('amount', fields.amount, 256),
    recipient: problems.address('recipient', fields.recipient),
    nonce: problems.integer('nonce', fields.nonce, 64),
    expiry: problems.integer('expiry', fields.expiry, 64),
    maxFee: problems.integer('maxFee', fields.maxFee, 256),
  };
  return problems.found() ?? { kind: 'parsed', message };
}

/** Market, lots and ticks of a signed order; exact, nothing is rounded. */
export function deriveOrder(
  message: OrderMessage,
  listing: Listing,
): { readonly kind: 'derived'; readonly terms: OrderTerms } | Invalid {
  const problems = new Problems();
  const nonce = problems.nonce(message.nonce);
  const expiry = problems.expiry(message.expiry);
  if (message.maxFeePpm > FEE_PPM_MAX) problems.add('maxFeePpm', 'max_fee_too_high');
  if (message.side !== 'buy' && message.side !== 'sell') problems.add('side', 'bad_side');
  if (!isTimeInForce(message.timeInForce)) problems.add('timeInForce', 'bad_time_in_force');

  const pair = listing.pairOf(message.baseToken, message.quoteToken);
  if (pair === undefined) {
    problems.add('baseToken', 'unknown_pair');
    return problems.invalid();
  }
  const size = problems.size(message.baseAmount, pair);
  const price = size === undefined ? undefined : problems.price(message.quoteAmount, size, pair);
  if (nonce === undefined || size === undefined || price === undefined || problems.found() !== undefined)
    return problems.invalid();
  return {
    kind: 'derived',
    terms: {
      account: message.account,
      market: pair.market.index,
      side: message.side as Side,
      sizeLots: size,
      priceTicks: price,
      timeInForce: message.timeInForce as TimeInForce,
      postOnly: message.postOnly,
      lane: nonce.lane,
      orderSequence: nonce.sequence,
      expiry,
      maxFeePpm: message.maxFeePpm as Ppm,
    },
  };
}

/** Asset and quanta of a signed withdrawal; exact. */
export function deriveWithdrawal(
  message: WithdrawalMessage,
  listing: Listing,
): { readonly kind: 'derived'; readonly terms: WithdrawalTerms } | Invalid {
  const problems = new Problems();
  const nonce = problems.nonce(message.nonce);
  const expiry = problems.expiry(message.expiry);
  const listed = listing.assetOf(message.token);
  if (listed === undefined) {
    problems.add('token', 'unknown_token');
    return problems.invalid();
  }
  const amount = problems.quanta('amount', message.amount, listed.asset);
  const maxFee = problems.quanta('maxFee', message.maxFee, listed.asset);
  if (amount === 0) problems.add('amount', 'amount_zero');
  if (nonce === undefined || amount === undefined || maxFee === undefined || problems.found() !== undefined)
    return problems.invalid();
  return {
    kind: 'derived',
    terms: {
      account: message.account,
      asset: listed.asset.index,
      amount,
      recipient: message.recipient,
      native: listed.native,
      lane: nonce.lane,
      withdrawalSequence: nonce.sequence,
      expiry,
      maxFee,
    },
  };
}

/** The command's order. `checked` must have a signer. @throws RangeError when it has none. */
export function toNewOrder(
  terms: OrderTerms,
  checked: CheckedSignature,
  options: Pick<NewOrder, 'clientOrderId' | 'selfTradePrevention' | 'stop'>,
): NewOrder {
  if (checked.signer === undefined || checked.compact === undefined) throw new RangeError('the order has no signer');
  return { ...terms, ...options, signer: checked.signer, digest: checked.digest, signature: checked.compact };
}

/** The command's withdrawal, for an owner's ECDSA signature. @throws RangeError when somebody else signed. */
export function toNewWithdrawal(terms: WithdrawalTerms, checked: CheckedSignature): NewWithdrawal {
  if (checked.signer !== terms.account || checked.compact === undefined) {
    throw new RangeError('a withdrawal is signed by its owner');
  }
  return { ...terms, digest: checked.digest, signature: checked.compact };
}

function isTimeInForce(word: string): word is TimeInForce {
  return word === 'gtc' || word === 'ioc' || word === 'fok' || word === 'gtd';
}

/** 40 bits: what the packed order has room for. */
const EXPIRY_MAX = 2n ** 40n - 1n;

/** Reads values and gathers what is wrong with them. A value read from a bad field is a placeholder and goes no further. */
class Problems {
  readonly #list: FieldProblem[] = [];

  add(field: string, code: FieldProblemCode): void {
    this.#list.push({ field, code, message: FIELD_PROBLEMS[code] });
  }

  found(): Invalid | undefined {
    return this.#list.length === 0 ? undefined : this.invalid();
  }

  invalid(): Invalid {
    return { kind: 'invalid', problems: this.#list };
  }

  address(field: string, text: string): Address {
    if (!/^0x[0-9a-fA-F]{40}$/.test(text)) this.add(field, 'bad_address');
    return text.toLowerCase() as Address;
  }

  integer(field: string, text: string, bits: number): bigint {
    if (/^(?:0|[1-9][0-9]{0,77})$/.test(text)) {
      const value = BigInt(text);
      if (value >> BigInt(bits) === 0n) return value;
    }
    this.add(field, 'bad_integer');
    return 0n;
  }

  nonce(packed: bigint): { lane: number; sequence: number } | undefined {
    const nonce = unpackNonce(packed);
    if (nonce !== undefined && nonce.sequence > 0) return nonce;
    this.add('nonce', 'bad_nonce');
    return undefined;
  }

  expiry(seconds: bigint): TimestampSeconds {
    if (seconds > EXPIRY_MAX) this.add('expiry', 'expiry_too_far');
    return Number(seconds) as TimestampSeconds;
  }

  size(baseAmount: bigint, { market, base }: Pair): Lots | undefined {
    const lotUnits = BigInt(market.lotQuanta) * base.quantumUnits;
    const size = baseAmount / lotUnits;
    if (baseAmount % lotUnits !== 0n) this.add('baseAmount', 'off_lot');
    else if (size === 0n) this.add('baseAmount', 'size_zero');
    else if (size > BigInt(Math.min(market.maxSizeLots, SIZE_LOTS_MAX))) this.add('baseAmount', 'size_too_large');
    else return Number(size) as Lots;
    return undefined;
  }

  price(quoteAmount: bigint, size: Lots, { market, quote }: Pair): PriceTicks | undefined {
    const unitsPerTick = BigInt(size) * BigInt(market.tickQuanta) * quote.quantumUnits;
    const price = quoteAmount / unitsPerTick;
    if (quoteAmount === 0n) this.add('quoteAmount', 'price_zero');
    else if (quoteAmount % unitsPerTick !== 0n) this.add('quoteAmount', 'off_tick');
    else if (price > BigInt(Math.min(market.maxPriceTicks, PRICE_TICKS_MAX))) this.add('quoteAmount', 'price_too_high');
    else return Number(price) as PriceTicks;
    return undefined;
  }

  quanta(field: string, units: bigint, asset: Asset): Quanta | undefined {
    const whole = units / asset.quantumUnits;
    if (units % asset.quantumUnits !== 0n) this.add(field, 'off_quantum');
    else if (whole > BigInt(Number.MAX_SAFE_INTEGER)) this.add(field, 'amount_too_large');
    else return Number(whole) as Quanta;
    return undefined;
  }
}
