/**
 * Everything the engine remembers. Functions of the other modules change it, one command at a time.
 *
 * What is *not* state, and so in no snapshot: pool ids, positions in hash tables, which part of a book holds a level, the
 * event sink. Nothing that the engine answers may depend on those.
 */
import type { EngineLimits } from '../domain/commands.ts';
import type { Asset, FeeTier, Market, MarketParameters, MarketState } from '../domain/markets.ts';
import type { NewWithdrawal } from '../domain/orders.ts';
import type { Address, Ppm, Quanta } from '../domain/units.ts';
import * as units from '../domain/units.ts';
import { Accounts } from './accounts.ts';
import type { InFlightBatch } from './batches.ts';
import { Book } from './book/book.ts';
import { OrderPool } from './book/order-pool.ts';
import { Deadlines } from './deadlines.ts';
import type { GatewayLease } from './disconnects.ts';
import { EventSink } from './event-sink.ts';
import { Lanes } from './lanes.ts';
import { Ledger } from './ledger.ts';
import { StopBook } from './stop-book.ts';
import { TradeLog } from './trades.ts';
import { Volumes } from './volumes.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FEE_PPM_MAX } = units;

/** An order may live for 30 days; the contract holds the same cap. */
export const ORDER_LIFE_MAX_SECONDS = 30 * 24 * 60 * 60;
/** A sequence may lie this far ahead of the command's time: half of what the contract allows by the block's time, which runs behind. */
export const SEQUENCE_AHEAD_MAX_MS = 60_000;
/** Orders the engine remembers at most: live ones, and those named by trades that are not final. */
export const ORDERS_MAX = 4_000_000;
/** More than the orders that can come to rest in one command: its own, and the stops it triggered. */
const RESTS_PER_COMMAND = 128;

export type Genesis = {
  readonly chainId: number;
  readonly vault: Address;
  readonly deployedAtMs: number;
  readonly limits: EngineLimits;
  readonly defaultParameters: MarketParameters;
  readonly withdrawalFees: readonly { readonly asset: number; readonly fee: Quanta }[];
};

/** A market's immutable terms, what the operator set, and its books. */
export class MarketBook {
  readonly market: Market;
  readonly index: number;
  readonly base: number;
  readonly quote: number;
  readonly lotQuanta: number;
  readonly tickQuanta: number;
  /** What applies: as the operator set it, fees bounded by the vault's maximum. */
  parameters: MarketParameters;
  feeTiers: readonly FeeTier[] = [];
  /** What the operator set. */
  chosenParameters: MarketParameters;
  chosenTiers: readonly FeeTier[] = [];
  state: MarketState = 'open';
  delisted = false;
  /** Price of the last trade; 0 before the first. */
  lastPrice = 0;
  readonly book: Book;
  readonly stops: StopBook;

  constructor(market: Market, parameters: MarketParameters, pool: OrderPool) {
    this.market = market;
    this.index = market.index;
    this.base = market.baseAsset;
    this.quote = market.quoteAsset;
    this.lotQuanta = market.lotQuanta;
    this.tickQuanta = market.tickQuanta;
    this.parameters = parameters;
    this.chosenParameters = parameters;
    this.book = new Book(pool);
    this.stops = new StopBook(pool);
  }
}

/** An accepted withdrawal: its terms without the signature, which the journal holds. */
export type PendingWithdrawal = Omit<NewWithdrawal, 'signature'> & {
  readonly fee: Quanta;
  readonly requestedAt: number;
};

/** Last use of an (account, withdrawal lane). */
export type WithdrawalLane = { sequence: number; digest: string };

export class EngineState {
  genesis: Genesis | undefined;
  rulesVersion = 1;
  epoch = 0;
  /** Journal sequence and time of the command being applied, or of the last one. */
  sequence = 0;
  nowMs = 0;
  lastChainEventSequence = 0;
  nextTradeId = 1;
  nextBatchId = 1;
  withdrawalsHalted = false;
  /** The most the vault takes of a trade. */
  feeMaximum: { readonly takerFeePpm: Ppm; readonly makerFeePpm: Ppm } = {
    takerFeePpm: FEE_PPM_MAX as Ppm,
    makerFeePpm: FEE_PPM_MAX as Ppm,
  };

  readonly assets: Asset[] = [];
  /** By index; listed without gaps. */
  readonly markets: MarketBook[] = [];
  readonly pool: OrderPool;
  readonly accounts = new Accounts();
  readonly ledger = new Ledger(this.accounts);
  readonly lanes = new Lanes();
  readonly deadlines: Deadlines;
  readonly trades = new TradeLog();
  /** Stop orders whose trigger was reached and that wait for their turn, in the order they will run. */
  readonly triggered: number[] = [];
  /** Accepted, in no batch yet, in order of request. */
  readonly withdrawals: PendingWithdrawal[] = [];
  /** By account: pending withdrawals, in a batch or not. */
  readonly withdrawalCounts = new Map<number, number>();
  /** By account, then lane. */
  readonly withdrawalLanes = new Map<number, Map<number, WithdrawalLane>>();
  /** By asset: the smallest withdrawal. */
  readonly withdrawalMinimums = new Map<number, Quanta>();
  /** By account: withdrawals in a row that could not be delivered, and until when the next one is refused. */
  readonly failedWithdrawals = new Map<number, { failures: number; untilMs: number }>();
  readonly volumes = new Volumes();
  /** Cancel on disconnect, by gateway. */
  readonly gateways = new Map<string, GatewayLease>();
  /** Proceeds kept from being traded on, by account × 65,536 + asset; part of what is locked. */
  readonly frozen = new Map<number, number>();
  /** Batches up to this one were in flight when something went wrong last. */
  suspectUntilBatch = 0;
  /** Dead man's switches: account → time in ms. */
  readonly cancelAfter = new Map<number, number>();
  /** No switch fires before this; it may be earlier than the first one. */
  cancelAfterNotBeforeMs = Number.POSITIVE_INFINITY;
  /** `account:digest` of orders registered on chain and not used yet. */
  readonly registeredOrders = new Set<string>();
  /** Sealed and not final, oldest first. */
  readonly batches: InFlightBatch[] = [];
  /** What was in flight before each reseal, oldest first, as long as it may still land: see reseal.ts. */
  readonly earlierCuts: (readonly InFlightBatch[])[] = [];
  /** Time of the oldest trade that is not final; Infinity when there is none. */
  unsettledSinceMs = Number.POSITIVE_INFINITY;

  readonly sink = new EventSink();
  #priority = 0;

  constructor() {
    this.pool = new OrderPool();
    this.deadlines = new Deadlines(this.pool);
  }

  /** The next value of an order's PRIORITY: follows from the command's sequence, so that it need not be remembered. */
  takePriority(): number {
    this.#priority = Math.max(this.#priority + 1, this.sequence * RESTS_PER_COMMAND);
    return this.#priority;
  }
}
