/** Schemas of what everyone may read: listings, market data, batches, the exchange's own honesty. */
import { type Static, Type } from 'typebox';
import { AddressOut, DecimalOut, FillState, nullable, object, Side, TimeMs } from './schemas.ts';

export const AssetView = object({
  index: Type.Integer({ description: 'Order of listing on chain.' }),
  symbol: Type.String(),
  token: AddressOut,
  decimals: Type.Integer(),
  quantumUnits: Type.String({ description: 'Token base units of the smallest amount accounted for.' }),
  minDeposit: DecimalOut,
  minDepositQuanta: Type.Integer(),
  withdrawalFee: DecimalOut,
  minWithdrawal: DecimalOut,
});
export type AssetView = Static<typeof AssetView>;

export const FeeTierView = object({
  volume: Type.Unsafe<string>({
    ...DecimalOut,
    description: 'From so much settled volume over 30 complete UTC days, in the quote token.',
  }),
  makerFeePpm: Type.Integer(),
  takerFeePpm: Type.Integer(),
});
export type FeeTierView = Static<typeof FeeTierView>;

export const MarketView = object({
  symbol: Type.String(),
  index: Type.Integer(),
  state: Type.Enum(['open', 'cancel_only', 'halted']),
  baseAsset: Type.String(),
  quoteAsset: Type.String(),
  baseAssetIndex: Type.Integer(),
  quoteAssetIndex: Type.Integer(),
  baseToken: AddressOut,
  quoteToken: AddressOut,
  tickSize: DecimalOut,
  lotSize: DecimalOut,
  minNotional: DecimalOut,
  maxPrice: DecimalOut,
  maxSize: DecimalOut,
  makerFeePpm: Type.Integer(),
  takerFeePpm: Type.Integer(),
  priceBandPpm: Type.Integer({ description: 'Orders further than this from the last trade are refused; 0 is off.' }),
  lotQuanta: Type.Integer({ description: 'Base quanta per lot.' }),
  tickQuanta: Type.Integer({ description: 'Quote quanta per lot and tick.' }),
  maxSizeLots: Type.Integer(),
  maxPriceTicks: Type.Integer(),
});
export type MarketView = Static<typeof MarketView>;

const LevelView = Type.Array(Type.String(), { description: '[price, size]', minItems: 2, maxItems: 2 });
export const DepthView = object({
  market: Type.String(),
  sequence: Type.Integer({ description: 'Journal sequence at which the book stands.' }),
  bids: Type.Array(LevelView, { description: 'Best (highest) first.' }),
  asks: Type.Array(LevelView, { description: 'Best (lowest) first.' }),
  checksum: Type.Integer({
    description:
      'CRC32 of the ten best levels: bid price, bid size, ask price, ask size, level by level, joined by ":".',
  }),
});
export type DepthView = Static<typeof DepthView>;

export const TradeView = object({
  tradeId: Type.Integer(),
  market: Type.String(),
  price: DecimalOut,
  size: DecimalOut,
  notional: DecimalOut,
  takerSide: Side,
  state: FillState,
  voidReason: nullable(Type.String()),
  batchId: nullable(Type.Integer()),
  transactionHash: nullable(Type.String()),
  createdAt: TimeMs,
});
export type TradeView = Static<typeof TradeView>;

export const CandleView = object({
  openTime: TimeMs,
  open: DecimalOut,
  high: DecimalOut,
  low: DecimalOut,
  close: DecimalOut,
  volume: Type.String({ description: 'In base tokens.' }),
  quoteVolume: Type.String({ description: 'In quote tokens.' }),
  trades: Type.Integer(),
});
export type CandleView = Static<typeof CandleView>;

export const TickerView = object({
  market: Type.String(),
  lastPrice: nullable(DecimalOut),
  bestBid: nullable(DecimalOut),
  bestAsk: nullable(DecimalOut),
  open: nullable(Type.String({ description: 'First price of the last 24 hours.' })),
  high: nullable(DecimalOut),
  low: nullable(DecimalOut),
  volume: DecimalOut,
  quoteVolume: DecimalOut,
  trades: Type.Integer(),
});
export type TickerView = Static<typeof TickerView>;

export const BatchState = Type.Enum(['sealed', 'submitted', 'included', 'final']);
const batchProperties = {
  batchId: Type.Integer(),
  state: BatchState,
  epoch: Type.Integer(),
  journalSequence: Type.Integer(),
  journalHash: Type.String(),
  parentHash: Type.String(),
  contentHash: Type.String(),
  batchHash: Type.String({ description: "The next batch's parent." }),
  engineSignature: Type.String(),
  trades: Type.Integer(),
  withdrawals: Type.Integer(),
  voided: Type.Integer({ description: 'Trades that the contract skipped; known once final.' }),
  sealedAt: TimeMs,
  transactionHash: nullable(Type.String()),
  blockNumber: nullable(Type.Integer()),
  blockHash: nullable(Type.String()),
  gasUsed: nullable(Type.Integer()),
};
export const BatchView = object(batchProperties);
export type BatchView = Static<typeof BatchView>;

export const BatchDetailView = object({
  ...batchProperties,
  content: Type.String({ description: 'Packed content whose keccak256 is contentHash.' }),
  transactions: Type.Array(
    object({
      transactionHash: Type.String(),
      sender: AddressOut,
      transactionNonce: Type.Integer(),
      createdAt: TimeMs,
      lastSentAt: nullable(TimeMs),
      sendCount: Type.Integer(),
    }),
    { description: 'Every transaction that was ever signed for it, oldest first.' },
  ),
});

/** Both sides of a settled or pending trade, as everyone can read them from the batch on chain anyway. */
export const BatchFillView = object({
  tradeId: Type.Integer(),
  batchIndex: nullable(Type.Integer()),
  market: Type.String(),
  price: DecimalOut,
  size: DecimalOut,
  notional: DecimalOut,
  takerSide: Side,
  taker: object({ account: AddressOut, orderId: Type.String(), fee: DecimalOut }),
  maker: object({ account: AddressOut, orderId: Type.String(), fee: DecimalOut }),
  state: FillState,
  voidReason: nullable(Type.String()),
  batchId: nullable(Type.Integer()),
  transactionHash: nullable(Type.String()),
  blockNumber: nullable(Type.Integer()),
  createdAt: TimeMs,
});
export type BatchFillView = Static<typeof BatchFillView>;

export const BatchWithdrawalView = object({
  id: Type.String(),
  account: AddressOut,
  asset: Type.String(),
  amount: DecimalOut,
  fee: DecimalOut,
  recipient: AddressOut,
  state: Type.String(),
  reason: nullable(Type.String()),
});

const TypeMembers = Type.Array(object({ name: Type.String(), type: Type.String() }));
export const ContractsView = object({
  chainId: Type.Integer(),
  vault: AddressOut,
  engine: nullable(AddressOut),
  deployedAt: Type.Integer({
    description: "Block time of the vault's deployment in ms: nonce sequences count from here.",
  }),
  deploymentBlock: Type.Integer(),
  exitDelaySeconds: Type.Integer(),
  graceSeconds: Type.Integer(),
  wrappedNative: nullable(AddressOut),
  rpcUrl: nullable(Type.String({ description: 'A node that browsers may use, when the operator offers one.' })),
  domain: object({
    name: Type.String(),
    version: Type.String(),
    chainId: Type.Integer(),
    verifyingContract: AddressOut,
  }),
  types: Type.Record(Type.String(), TypeMembers),
});
export type ContractsView = Static<typeof ContractsView>;

export const BalanceView = object({
  asset: Type.String(),
  token: AddressOut,
  available: DecimalOut,
  locked: DecimalOut,
  unsettledIn: Type.String({ description: 'Received by trades that are not final yet; can be traded, not withdrawn.' }),
  unsettledOut: Type.String({ description: 'Paid by trades that are not final yet.' }),
  pendingDeposit: Type.String({ description: 'Deposited on chain, not final yet.' }),
  pendingWithdrawal: DecimalOut,
  onChain: Type.String({ description: "What the vault's books show at `blockNumber`." }),
});
export type BalanceView = Static<typeof BalanceView>;

export const DepositView = object({
  eventSequence: Type.Integer(),
  asset: Type.String(),
  amount: DecimalOut,
  state: Type.Enum(['pending', 'credited']),
  transactionHash: nullable(Type.String()),
  blockNumber: nullable(Type.Integer()),
  confirmations: Type.Integer(),
  createdAt: TimeMs,
});
export type DepositView = Static<typeof DepositView>;

export const WithdrawalView = object({
  id: Type.String({ description: 'EIP-712 digest of the withdrawal.' }),
  account: AddressOut,
  asset: Type.String(),
  amount: Type.String({ description: 'Debited in total; the recipient receives amount − fee.' }),
  fee: DecimalOut,
  recipient: AddressOut,
  native: Type.Boolean({ description: "Paid out in the chain's own currency." }),
  state: Type.Enum(['pending', 'batched', 'submitted', 'included', 'executed', 'failed']),
  reason: nullable(Type.String()),
  batchId: nullable(Type.Integer()),
  transactionHash: nullable(Type.String()),
  blockNumber: nullable(Type.Integer()),
  journalSequence: Type.Integer(),
  createdAt: TimeMs,
  updatedAt: TimeMs,
});
export type WithdrawalView = Static<typeof WithdrawalView>;
