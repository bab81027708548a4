/** What the API answers with. Amounts and prices are plain decimal strings, times milliseconds, addresses checksummed. */
import type { OrderStatus, SelfTradePrevention, Side, TimeInForce } from '../domain/orders.ts';

export type Order = {
  /** EIP-712 digest of the order. */
  readonly id: string;
  readonly clientOrderId: string | null;
  readonly account: string;
  readonly signer: string;
  readonly market: string;
  readonly side: Side;
  readonly price: string;
  readonly size: string;
  readonly filled: string;
  readonly remaining: string;
  readonly averagePrice: string | null;
  readonly feesPaid: string;
  readonly status: OrderStatus;
  /** Why it was cancelled, has expired or was rejected. */
  readonly reason: string | null;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly maxFeePpm: number;
  readonly selfTradePrevention: SelfTradePrevention;
  /** Waits unseen until the last trade's price reaches the trigger; null for an order that does not. */
  readonly stop: { readonly direction: 'at_or_above' | 'at_or_below'; readonly triggerPrice: string } | null;
  readonly lane: number;
  readonly nonce: string;
  readonly expiresAt: number;
  readonly journalSequence: number;
  readonly createdAt: number;
  readonly updatedAt: number;
};

/** matched → batched → submitted → included → final, or voided with a reason. */
export type FillState = 'matched' | 'batched' | 'submitted' | 'included' | 'final' | 'voided';

export type Fill = {
  readonly tradeId: number;
  readonly orderId: string;
  readonly market: string;
  readonly side: Side;
  readonly liquidity: 'maker' | 'taker';
  readonly price: string;
  readonly size: string;
  readonly notional: string;
  readonly fee: string;
  readonly feeAsset: string;
  readonly state: FillState;
  readonly voidReason: string | null;
  readonly batchId: number | null;
  /** Position within the batch. */
  readonly batchIndex: number | null;
  readonly transactionHash: string | null;
  readonly blockNumber: number | null;
  readonly createdAt: number;
};

/** Signed by the engine key over the Merkle root of the journal row that holds the command. */
export type OrderReceipt = {
  readonly sequence: number;
  readonly rowHash: string;
  readonly merkleRoot: string;
  readonly leafIndex: number;
  /** Commands of the journal row. */
  readonly leafCount: number;
  readonly proof: readonly string[];
  readonly signature: string;
};

export type Page<T> = { readonly data: readonly T[]; readonly nextCursor: string | null };

export type NewOrderInput = {
  /** `WETH-USDC` */
  readonly market: string;
  readonly side: Side;
  /** Quote tokens per base token, on tick: the limit. */
  readonly price: string;
  /** Base tokens, on lot. */
  readonly size: string;
  /** Default `gtc`. */
  readonly timeInForce?: TimeInForce;
  readonly postOnly?: boolean;
  /** From now, at most 30 days; default one day. */
  readonly expiresInSeconds?: number;
  /** Default: the market's higher fee. */
  readonly maxFeePpm?: number;
  readonly clientOrderId?: string;
  readonly selfTradePrevention?: SelfTradePrevention;
  /** Waits until the last trade's price reaches the trigger: a stop order with `ioc`, a stop-limit order with `gtc` or `gtd`. */
  readonly stop?: { readonly direction: 'at_or_above' | 'at_or_below'; readonly triggerPrice: string };
};

export type Balance = {
  readonly asset: string;
  readonly token: string;
  readonly available: string;
  readonly locked: string;
  /** Received by trades that are not final yet; can be traded, not withdrawn. */
  readonly unsettledIn: string;
  readonly unsettledOut: string;
  readonly pendingDeposit: string;
  readonly pendingWithdrawal: string;
  /** What the vault's books show at the last final block. */
  readonly onChain: string;
};

export type Withdrawal = {
  /** EIP-712 digest of the withdrawal. */
  readonly id: string;
  readonly account: string;
  readonly asset: string;
  /** Debited in total; the recipient receives amount − fee. */
  readonly amount: string;
  readonly fee: string;
  readonly recipient: string;
  readonly state: 'pending' | 'batched' | 'submitted' | 'included' | 'executed' | 'failed';
  readonly reason: string | null;
  readonly batchId: number | null;
  readonly transactionHash: string | null;
  readonly blockNumber: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
};
