/** What the engine says happened. Deterministic: (command sequence, index within the command) names an event for ever. */
import type { SealedBatch, SkipReason } from './batches.ts';
import type { FeeTier, MarketParameters, MarketState } from './markets.ts';
import type { NewOrder, NewWithdrawal, OrderKey, Side } from './orders.ts';
import type { CancelReason, RejectReason, WithdrawalRejectReason } from './reasons.ts';
import type {
  Address,
  ChainEventSequence,
  Hash,
  JournalSequence,
  Lots,
  Ppm,
  PriceTicks,
  Quanta,
  TimestampMs,
} from './units.ts';

/** One account's position in one asset; every figure in quanta. available + locked + pendingWithdrawal = settled + unsettledIn − unsettledOut. */
export type Balance = {
  readonly available: Quanta;
  readonly locked: Quanta;
  readonly pendingWithdrawal: Quanta;
  /** Received by trades that are not final on chain yet; can be traded, not withdrawn. */
  readonly unsettledIn: Quanta;
  /** Paid by trades that are not final on chain yet. */
  readonly unsettledOut: Quanta;
  /** What the vault's books show once every applied chain event is in. */
  readonly settled: Quanta;
};

export type TradeSide = OrderKey & { readonly digest: Hash; readonly feePpm: Ppm; readonly fee: Quanta };

export type EngineEvent =
  | { readonly kind: 'orderAccepted'; readonly order: NewOrder; readonly resting: Lots }
  | { readonly kind: 'orderRejected'; readonly account: Address; readonly digest: Hash; readonly reason: RejectReason }
  | { readonly kind: 'orderTriggered'; readonly account: Address; readonly digest: Hash }
  /** Size left changed without a trade: self-trade prevention by decrement. */
  | { readonly kind: 'orderReduced'; readonly account: Address; readonly digest: Hash; readonly remaining: Lots }
  | {
      readonly kind: 'orderDone';
      readonly account: Address;
      readonly lane: number;
      readonly orderSequence: number;
      readonly digest: Hash;
      readonly status: 'filled' | 'cancelled' | 'expired';
      /** Undefined when filled. */
      readonly reason: CancelReason | undefined;
      readonly filled: Lots;
    }
  | { readonly kind: 'cancelRejected'; readonly account: Address; readonly reason: RejectReason }
  | {
      readonly kind: 'trade';
      /** 1, 2, 3 … over all markets. */
      readonly tradeId: number;
      readonly market: number;
      readonly price: PriceTicks;
      readonly size: Lots;
      readonly takerSide: Side;
      readonly taker: TradeSide;
      readonly maker: TradeSide;
    }
  /** Total resting size at one price after a command; 0 removes the level. */
  | {
      readonly kind: 'levelChanged';
      readonly market: number;
      readonly side: Side;
      readonly price: PriceTicks;
      readonly size: Lots;
    }
  | ({ readonly kind: 'balanceChanged'; readonly account: Address; readonly asset: number } & Balance)
  | {
      readonly kind: 'depositCredited';
      readonly account: Address;
      readonly asset: number;
      readonly amount: Quanta;
      readonly eventSequence: ChainEventSequence;
    }
  | { readonly kind: 'withdrawalAccepted'; readonly withdrawal: NewWithdrawal; readonly fee: Quanta }
  | {
      readonly kind: 'withdrawalRejected';
      readonly account: Address;
      readonly digest: Hash;
      readonly reason: WithdrawalRejectReason;
    }
  | {
      readonly kind: 'withdrawalDone';
      readonly account: Address;
      readonly digest: Hash;
      readonly status: 'executed' | 'failed';
      readonly reason: string;
    }
  | {
      readonly kind: 'exitChanged';
      readonly account: Address;
      readonly asset: number;
      readonly status: 'requested' | 'cancelled' | 'executed';
      readonly amount: Quanta;
    }
  | { readonly kind: 'batchSealed'; readonly batch: SealedBatch }
  /**
   * From `firstBatchId` on, batches in flight are others than before; each is told again by a `batchSealed` that follows. Ids above
   * `lastBatchId` are in no use until they are sealed again. `resealed`: cut into smaller ones; `earlier_cut_settled`: the vault has
   * settled, as `firstBatchId`, content that a reseal had replaced, so that what followed it then stands again.
   */
  | {
      readonly kind: 'batchesRecut';
      readonly cause: 'resealed' | 'earlier_cut_settled';
      readonly firstBatchId: number;
      readonly lastBatchId: number;
      readonly reason: string;
      /** In no batch any more. */
      readonly unsealedTrades: readonly number[];
      readonly unsealedWithdrawals: readonly Hash[];
    }
  /** The batch is final on chain; `voided` lists the trades that the contract skipped, reversed on both sides. */
  | {
      readonly kind: 'batchFinal';
      readonly batchId: number;
      readonly contentHash: Hash;
      readonly settledTrades: readonly number[];
      readonly voidedTrades: readonly { readonly tradeId: number; readonly reason: SkipReason }[];
      readonly eventSequence: ChainEventSequence;
    }
  /** A trade that is in no batch yet was reversed on both sides: an account in deficit could not have paid for it. */
  | { readonly kind: 'tradeVoided'; readonly tradeId: number; readonly reason: SkipReason }
  | { readonly kind: 'accountInDeficit'; readonly account: Address; readonly asset: number; readonly shortfall: Quanta }
  | {
      readonly kind: 'marketStateChanged';
      readonly market: number;
      readonly state: MarketState;
      readonly reason: string;
    }
  /** What now applies: fees are those the operator set, or the vault's maximum where that is lower. */
  | {
      readonly kind: 'marketParametersChanged';
      readonly market: number;
      readonly parameters: MarketParameters;
      readonly feeTiers: readonly FeeTier[];
    }
  | {
      readonly kind: 'withdrawalTermsChanged';
      readonly asset: number;
      readonly fee: Quanta;
      readonly minimum: Quanta;
    }
  /** Settled volume of one UTC day (days since 1970) in one quote asset, which counts for fee tiers from the next day on. */
  | {
      readonly kind: 'volumeCounted';
      readonly account: Address;
      readonly asset: number;
      readonly day: number;
      readonly volume: Quanta;
    }
  /** Part of `locked`: proceeds of sealed trades that the vault will probably skip; 0 when all are released. */
  | { readonly kind: 'proceedsFrozen'; readonly account: Address; readonly asset: number; readonly amount: Quanta }
  /** Whether a gateway's lease on its accounts' connections holds; `lapsed`: their orders were cancelled, they must arm again. */
  | { readonly kind: 'gatewayLease'; readonly gateway: string; readonly status: 'held' | 'lapsed' }
  | { readonly kind: 'withdrawalsHalted'; readonly reason: string }
  | { readonly kind: 'withdrawalsResumed'; readonly reason: string }
  /** A command from the chain was applied; the ledger now stands at this vault event. */
  | { readonly kind: 'chainApplied'; readonly eventSequence: ChainEventSequence };

/** The events of one applied command. */
export type AppliedCommand = {
  readonly sequence: JournalSequence;
  readonly timestampMs: TimestampMs;
  readonly events: readonly EngineEvent[];
};
