/**
 * Everything that can change the engine's state. A command is journaled before it is applied; replaying the journal under
 * the same rules gives the same state (P6). Commands from the chain carry the vault's gapless event sequence: the engine
 * ignores one it has applied and refuses a gap, which makes delivery exactly-once.
 */
import type { WithdrawalOutcome } from './batches.ts';
import type { Asset, FeeTier, Market, MarketParameters, MarketState } from './markets.ts';
import type { NewOrder, NewWithdrawal, OrderKey } from './orders.ts';
import type {
  Address,
  ChainEventSequence,
  Hash,
  JournalSequence,
  Lots,
  Ppm,
  Quanta,
  TimestampMs,
  TimestampSeconds,
} from './units.ts';

/** The rules version this code writes; older ones stay replayable. */
export const RULES_VERSION = 1;

export type EngineLimits = {
  readonly openOrdersPerAccountMax: number;
  /** Unfinal batches at which markets turn cancel-only. */
  readonly batchesInFlightMax: number;
  /** Age of the oldest unsettled trade at which markets turn cancel-only, in milliseconds. */
  readonly unsettledAgeMaxMs: number;
  /** New orders whose sequence is older than this are refused, in milliseconds. */
  readonly orderAgeMaxMs: number;
};

export type UserCommand =
  | { readonly kind: 'placeOrder'; readonly order: NewOrder }
  | { readonly kind: 'replaceOrder'; readonly replaced: OrderKey; readonly order: NewOrder }
  | { readonly kind: 'cancelOrder'; readonly order: OrderKey }
  /** Shrinks what a live order has left to `remaining`; it keeps its place in the queue, and its signature. */
  | { readonly kind: 'reduceOrder'; readonly order: OrderKey; readonly remaining: Lots }
  /** `market` undefined means every market. */
  | { readonly kind: 'cancelAllOrders'; readonly account: Address; readonly market: number | undefined }
  /** Dead man's switch: cancel everything at `deadlineMs` unless called again; undefined switches it off. */
  | { readonly kind: 'cancelAfter'; readonly account: Address; readonly deadlineMs: TimestampMs | undefined }
  | { readonly kind: 'requestWithdrawal'; readonly withdrawal: NewWithdrawal }
  /** Cancel on disconnect: everything of the account is cancelled when the gateway's lease, renewed here, runs out. */
  | { readonly kind: 'armDisconnect'; readonly gateway: string; readonly account: Address; readonly leaseMs: number }
  /** The account's connection was switched off (`cancel` false) or lost. */
  | { readonly kind: 'disarmDisconnect'; readonly gateway: string; readonly account: Address; readonly cancel: boolean }
  /** A gateway with armed accounts is alive. */
  | { readonly kind: 'renewGateway'; readonly gateway: string; readonly leaseMs: number };

export type ChainFact =
  | { readonly kind: 'assetListed'; readonly asset: Asset }
  | { readonly kind: 'marketListed'; readonly market: Market }
  | { readonly kind: 'marketDelisted'; readonly market: number }
  | { readonly kind: 'depositCredited'; readonly account: Address; readonly asset: number; readonly amount: Quanta }
  | { readonly kind: 'exitRequested'; readonly account: Address; readonly asset: number }
  | { readonly kind: 'exitCancelled'; readonly account: Address; readonly asset: number }
  | { readonly kind: 'exitExecuted'; readonly account: Address; readonly asset: number; readonly amount: Quanta }
  /** The most the vault takes of a trade from now on; it comes before the first listing. */
  | { readonly kind: 'feesChanged'; readonly takerFeePpm: Ppm; readonly makerFeePpm: Ppm }
  /** The collector was paid `amount` from the fee account; anyone can cause it. */
  | { readonly kind: 'feesCollected'; readonly asset: number; readonly amount: Quanta }
  /** Every order of the account with a sequence below this is void on chain. */
  | { readonly kind: 'ordersCancelledOnChain'; readonly account: Address; readonly beforeSequence: number }
  /** `marketMask` bit i allows market i; bit 255 set means all. */
  | {
      readonly kind: 'sessionKeyRegistered';
      readonly account: Address;
      readonly key: Address;
      readonly validUntil: TimestampSeconds;
      readonly marketMask: bigint;
    }
  | {
      readonly kind: 'sessionKeyRevoked';
      readonly account: Address;
      readonly key: Address;
      readonly validUntil: TimestampSeconds;
    }
  | { readonly kind: 'orderRegistered'; readonly account: Address; readonly digest: Hash }
  | {
      readonly kind: 'batchSettled';
      readonly batchId: number;
      readonly contentHash: Hash;
      readonly skips: readonly { readonly trade: number; readonly reason: number }[];
      readonly withdrawals: readonly WithdrawalOutcome[];
    }
  /** An event that does not concern the engine, kept so that the sequence stays gapless. */
  | { readonly kind: 'chainEventNoted'; readonly name: string };

export type ChainCommand = ChainFact & { readonly eventSequence: ChainEventSequence };

export type OperatorCommand =
  /** Command 1, once. */
  | {
      readonly kind: 'genesis';
      readonly chainId: number;
      readonly vault: Address;
      /** Block time of the vault's deployment: order sequences count from here. */
      readonly deployedAtMs: TimestampMs;
      readonly limits: EngineLimits;
      readonly defaultParameters: MarketParameters;
      /** Charged per withdrawal in quanta by asset index; absent means free. */
      readonly withdrawalFees: readonly { readonly asset: number; readonly fee: Quanta }[];
    }
  | { readonly kind: 'epochStarted'; readonly epoch: number }
  | { readonly kind: 'activateRules'; readonly version: number }
  | { readonly kind: 'setMarketState'; readonly market: number; readonly state: MarketState }
  | { readonly kind: 'setMarketParameters'; readonly market: number; readonly parameters: MarketParameters }
  /** Fees by an account's volume; none means that the market's own apply to all. */
  | {
      readonly kind: 'setFeeTiers';
      readonly market: number;
      readonly tiers: readonly FeeTier[];
      readonly reason: string;
    }
  | { readonly kind: 'setLimits'; readonly limits: EngineLimits; readonly reason: string }
  | {
      readonly kind: 'setWithdrawalTerms';
      readonly asset: number;
      readonly fee: Quanta;
      readonly minimum: Quanta;
      readonly reason: string;
    }
  /** The engine's machine has the right time after all: commands carry its clock again, and what is due by it ends. */
  | { readonly kind: 'acceptClockJump'; readonly reason: string }
  /** Drift found: no withdrawal is accepted or sealed until an operator resumes. */
  | { readonly kind: 'haltWithdrawals'; readonly reason: string }
  | { readonly kind: 'resumeWithdrawals'; readonly reason: string }
  /** Always the last command of its journal row. */
  | { readonly kind: 'sealBatch'; readonly tradesMax: number; readonly withdrawalsMax: number }
  /**
   * Cuts batch `batchId`, which cannot land, and those after it into smaller ones. Always the last command of its journal row.
   * `contentHashes`: of the content that each of them, from `batchId` to the newest, was published with; it may still land, and the
   * engine must know it then.
   */
  | {
      readonly kind: 'resealBatch';
      readonly batchId: number;
      readonly tradesMax: number;
      readonly withdrawalsMax: number;
      readonly contentHashes: readonly Hash[];
      readonly reason: string;
    }
  /** Time passes: expires orders and fires deadlines that are due. Sent only when something is due. */
  | { readonly kind: 'tick' };

export type Command = UserCommand | ChainCommand | OperatorCommand;

export type SequencedCommand = {
  readonly sequence: JournalSequence;
  /** Never goes back within a journal. */
  readonly timestampMs: TimestampMs;
  readonly command: Command;
};
