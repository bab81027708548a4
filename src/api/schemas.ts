/** Schemas shared by the routes. Amounts and prices are decimal strings, times milliseconds, addresses checksummed on the way out. */
import { type Static, type TSchema, Type } from 'typebox';

export const AddressIn = Type.String({
  pattern: '^0x[0-9a-fA-F]{40}$',
  description: 'an address: 0x and 40 hex digits',
});
export const AddressOut = Type.String({ description: 'Address in checksum form.' });
export const HashText = Type.String({ pattern: '^0x[0-9a-fA-F]{64}$', description: 'a hash: 0x and 64 hex digits' });
/** 64-byte compact or 65-byte ECDSA; up to 1,024 bytes for contract wallets where those are taken. */
export const SignatureIn = Type.String({
  pattern: '^0x[0-9a-fA-F]*$',
  maxLength: 2050,
  description: 'a signature as 0x hex, 65 bytes or 64 bytes compact (ERC-2098)',
});
export const Uint256In = Type.String({
  pattern: '^(0|[1-9][0-9]{0,77})$',
  description: 'an integer in token base units as a decimal string, without sign, point or exponent',
});
export const Uint64In = Type.String({
  pattern: '^(0|[1-9][0-9]{0,19})$',
  description: 'an integer below 2^64 as a decimal string',
});
export const DecimalOut = Type.String({ description: 'Plain decimal; exact.' });
export const DecimalIn = Type.String({
  pattern: '^(0|[1-9][0-9]*)([.][0-9]+)?$',
  maxLength: 60,
  description: 'a plain decimal such as "0.015", without sign or exponent',
});
export const TimeMs = Type.Integer({ description: 'Milliseconds since the Unix epoch.' });
/** Of the dead man's switch: a day at most. */
export const CancelTimeoutMs = Type.Integer({
  minimum: 0,
  maximum: 24 * 60 * 60 * 1000,
  description: 'From now; 0 switches it off.',
});
export const MarketSymbol = Type.String({
  pattern: '^[A-Za-z0-9._]{1,20}-[A-Za-z0-9._]{1,20}$',
  description: 'a market such as WETH-USDC',
});
export const ClientOrderId = Type.String({
  pattern: '^[A-Za-z0-9_-]{1,36}$',
  description: '1 to 36 characters of A-Z a-z 0-9 _ -',
});
export const Side = Type.Enum(['buy', 'sell']);
export const TimeInForce = Type.Enum(['gtc', 'ioc', 'fok', 'gtd']);
export const SelfTradePrevention = Type.Enum(['cancel_newest', 'cancel_oldest', 'cancel_both', 'decrement']);
export const OrderStatus = Type.Enum(['open', 'partially_filled', 'filled', 'cancelled', 'expired', 'rejected']);
export const FillState = Type.Enum(['matched', 'batched', 'submitted', 'included', 'final', 'voided']);

export function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()]);
}

export function object<Properties extends Record<string, TSchema>>(properties: Properties, description?: string) {
  return Type.Object(properties, {
    additionalProperties: false,
    ...(description === undefined ? {} : { description }),
  });
}

/** Digits only: query strings are text, and are turned into numbers by hand after this check. */
export const LimitQuery = Type.Optional(
  Type.String({ pattern: '^[1-9][0-9]{0,3}$', description: 'rows wanted, 1 to 1000' }),
);
export const CursorQuery = Type.Optional(
  Type.String({ pattern: '^[A-Za-z0-9_-]{1,200}$', description: 'the nextCursor of the page before' }),
);
export const IntegerQuery = Type.String({ pattern: '^(0|[1-9][0-9]{0,15})$', description: 'a non-negative integer' });

export function page<Schema extends TSchema>(item: Schema) {
  return object({ data: Type.Array(item), nextCursor: nullable(Type.String()) });
}

export const FieldErrorSchema = object({
  pointer: Type.String({ description: 'JSON pointer into the body, or query/…, path/…, header/…' }),
  code: Type.String(),
  message: Type.String(),
});

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'Page that explains the code.' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable; switch on this.' }),
    detail: Type.String(),
    instance: Type.String(),
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later without change.' }),
    errors: Type.Array(FieldErrorSchema),
  },
  { additionalProperties: true, description: 'RFC 9457 problem document (application/problem+json).' },
);

/** The signed message, exactly as the wallet was given it. */
export const SignedOrderMessage = object(
  {
    account: AddressIn,
    side: Side,
    baseToken: AddressIn,
    baseAmount: Uint256In,
    quoteToken: AddressIn,
    quoteAmount: Uint256In,
    timeInForce: TimeInForce,
    postOnly: Type.Boolean(),
    nonce: Uint64In,
    expiry: Type.String({ pattern: '^(0|[1-9][0-9]{0,15})$', description: 'Unix seconds as a decimal string' }),
    maxFeePpm: Type.Integer({ minimum: 0, maximum: 4294967295, description: 'parts per million of the notional' }),
  },
  'The EIP-712 message Order; its type and domain are in GET /contracts.',
);

export const PlaceOrderBody = object({
  order: SignedOrderMessage,
  signature: SignatureIn,
  clientOrderId: Type.Optional(ClientOrderId),
  selfTradePrevention: Type.Optional(SelfTradePrevention),
  stop: Type.Optional(
    object(
      { direction: Type.Enum(['at_or_above', 'at_or_below']), triggerPrice: DecimalIn },
      'Not part of what is signed.',
    ),
  ),
  replaces: Type.Optional(
    Type.String({
      pattern: '^0x[0-9a-fA-F]{64}$',
      description: 'id of the live order that this one takes the place of',
    }),
  ),
});
export type PlaceOrderBody = Static<typeof PlaceOrderBody>;

export const WithdrawalBody = object({
  withdrawal: object(
    {
      account: AddressIn,
      token: AddressIn,
      amount: Uint256In,
      recipient: AddressIn,
      nonce: Uint64In,
      expiry: Type.String({ pattern: '^(0|[1-9][0-9]{0,15})$', description: 'Unix seconds as a decimal string' }),
      maxFee: Uint256In,
    },
    'The EIP-712 message Withdrawal, signed by the owner.',
  ),
  signature: SignatureIn,
});
export type WithdrawalBody = Static<typeof WithdrawalBody>;

export const OrderView = object({
  id: Type.String({ description: 'EIP-712 digest of the order.' }),
  clientOrderId: nullable(Type.String()),
  account: AddressOut,
  signer: AddressOut,
  market: Type.String(),
  side: Side,
  price: DecimalOut,
  size: DecimalOut,
  filled: DecimalOut,
  remaining: DecimalOut,
  averagePrice: nullable(DecimalOut),
  feesPaid: DecimalOut,
  status: OrderStatus,
  reason: nullable(
    Type.String({ description: 'Why it was cancelled, has expired or was rejected: a word of /docs/reasons.' }),
  ),
  timeInForce: TimeInForce,
  postOnly: Type.Boolean(),
  maxFeePpm: Type.Integer(),
  selfTradePrevention: SelfTradePrevention,
  stop: nullable(object({ direction: Type.String(), triggerPrice: DecimalOut })),
  lane: Type.Integer(),
  nonce: Type.String(),
  expiresAt: TimeMs,
  journalSequence: Type.Integer({ description: 'Position in the journal of the command that placed it.' }),
  createdAt: TimeMs,
  updatedAt: TimeMs,
});
export type OrderView = Static<typeof OrderView>;

export const FillView = object({
  tradeId: Type.Integer(),
  orderId: Type.String(),
  market: Type.String(),
  side: Side,
  liquidity: Type.Enum(['maker', 'taker']),
  price: DecimalOut,
  size: DecimalOut,
  notional: DecimalOut,
  fee: DecimalOut,
  feeAsset: Type.String(),
  state: FillState,
  voidReason: nullable(Type.String()),
  batchId: nullable(Type.Integer()),
  batchIndex: nullable(Type.Integer({ description: 'Position within the batch.' })),
  transactionHash: nullable(Type.String()),
  blockNumber: nullable(Type.Integer()),
  journalSequence: Type.Integer(),
  createdAt: TimeMs,
});
export type FillView = Static<typeof FillView>;

export const ReceiptView = object(
  {
    sequence: Type.Integer(),
    rowHash: Type.String(),
    merkleRoot: Type.String(),
    leafIndex: Type.Integer(),
    leafCount: Type.Integer({ description: 'Commands of the journal row.' }),
    proof: Type.Array(Type.String()),
    signature: Type.String(),
  },
  'Signed by the engine key over the Merkle root of the journal row that holds the command.',
);

export const PlacedOrder = object({
  order: OrderView,
  fills: Type.Array(FillView),
  receipt: nullable(ReceiptView),
});
export type PlacedOrder = Static<typeof PlacedOrder>;
