/**
 * Everything that can change the engine's state. A command is journaled before it is applied; replaying the journal under
 * the same rules gives the same state (P6). Commands from the chain carry the vault's gapless event sequence: the engine
 * ignores one it has applied and refuses a gap, which makes delivery exactly-once.
 */
import type { WithdrawalOutcome } from './batches.ts';
import type { Asset, Market, MarketParameters, MarketState } from './markets.ts';
import type { NewOrder, NewWithdrawal, OrderKey } from './orders.ts';
import type {
  Address,
  ChainEventSequence,
  Hash,
  JournalSequence,
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
  /** `market` undefined means every market. */
  | { readonly kind: 'cancelAllOrders'; readonly account: Address; readonly market: number | undefined }
  /** Dead man's switch: cancel everything at `deadlineMs` unless called again; undefined switches it off. */
  | { readonly kind: 'cancelAfter'; readonly account: Address; readonly deadlineMs: TimestampMs | undefined }
  | { readonly kind: 'requestWithdrawal'; readonly withdrawal: NewWithdrawal };

export type ChainFact =
  | { readonly kind: 'assetListed'; readonly asset: Asset }
  | { readonly kind: 'marketListed'; readonly market: Market }
  | { readonly kind: 'marketDelisted'; readonly market: number }
  | { readonly kind: 'depositCredited'; readonly account: Address; readonly asset: number; readonly amount: Quanta }
  | { readonly kind: 'exitRequested'; readonly account: Address; readonly asset: number }
  | { readonly kind: 'exitCancelled'; readonly account: Address; readonly asset: number }
  | { readonly kind: 'exitExecuted'; readonly account: Address; readonly asset: number; readonly amount: Quanta }
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
  /** Drift found: no withdrawal is accepted or sealed until an operator resumes. */
  | { readonly kind: 'haltWithdrawals'; readonly reason: string }
  | { readonly kind: 'resumeWithdrawals'; readonly reason: string }
  /** Always the last command of its journal row. */
  | { readonly kind: 'sealBatch'; readonly tradesMax: number; readonly withdrawalsMax: number }
  /** Time passes: expires orders and fires deadlines that are due. Sent only when something is due. */
  | { readonly kind: 'tick' };

export type Command = UserCommand | ChainCommand | OperatorCommand;

export type SequencedCommand = {
  readonly sequence: JournalSequence;
  /** Never goes back within a journal. */
  readonly timestampMs: TimestampMs;
  readonly command: Command;
};
