/**
 * The matching engine: a deterministic state machine. `apply` takes one journaled command and returns what happened; it
 * reads no clock, draws no random number and does no I/O, and every collection it keeps is bounded, so that the same
 * journal gives the same events and the same state, byte for byte.
 *
 * Invariants: commands come in journal order without a gap, with times that never go back; a refusal is an event and
 * changes nothing else; an exception means a broken invariant (ledger and vault have parted, or a bug), after which this
 * engine must not be used again.
 *
 * Hot modules take slots and shifts of records from other modules as constants of their own (`const { PRICE } = orders`): V8 folds
 * those into the machine code, but loads and checks an imported binding at every use.
 *
 * `core` is the state with the functions of the neighbouring modules (`placeOrder`, `cancelOrder` …) as a typed, allocation
 * free interface; this class is the layer of domain objects above it.
 */
import type { SealedBatch } from '../domain/batches.ts';
import type { SequencedCommand } from '../domain/commands.ts';
import type { AppliedCommand, Balance } from '../domain/events.ts';
import type { OrderKey, Side } from '../domain/orders.ts';
import type {
  Address,
  ChainEventSequence,
  Hash,
  JournalSequence,
  Lots,
  PriceTicks,
  Quanta,
  TimestampMs,
} from '../domain/units.ts';
import { toSealedBatch } from './batches.ts';
import * as orders from './book/order-pool.ts';
import { fireDeadlines, firstDeadlineMs } from './cancels.ts';
import * as codes from './codes.ts';
import * as records from './command-records.ts';
import { CommandRecords } from './command-records.ts';
import { decodeRecord } from './decode-record.ts';
import { fireLeases, firstLeaseEndMs } from './disconnects.ts';
import * as balances from './ledger.ts';
import { liveOrdersOf } from './live-orders.ts';
import { renderEvents } from './render-events.ts';
import { applyByRules } from './rules.ts';
import { EngineState } from './state.ts';
import { hasRunnableStops, runTriggeredStops } from './stops.ts';
import { FAR_ORDERS, GROUP, touchAhead } from './touch-ahead.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const {
  ACCOUNT,
  BUY,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  INT_SHIFT,
  LANE,
  LIFE_INT_SHIFT,
  MARKET,
  ORDER_SEQUENCE,
  PRICE,
  REMAINING,
  SELL,
  STATE,
  STATE_RESTING,
  TERM_FLOAT_SHIFT,
  TERM_INT_SHIFT,
} = orders;
const { SIDES } = codes;
const { COMMAND_FLOAT_SHIFT, COMMAND_INT_SHIFT, COMMAND_SEQUENCE, OF_ACCOUNT, TIME_MS } = records;
const { AVAILABLE, LOCKED, PENDING_WITHDRAWAL, SETTLED, UNSETTLED_IN, UNSETTLED_OUT } = balances;

/** A live order as seen from outside. */
export type LiveOrder = OrderKey & {
  readonly digest: Hash;
  readonly market: number;
  readonly side: Side;
  readonly price: PriceTicks;
  readonly remaining: Lots;
  /** False for a stop order that waits. */
  readonly resting: boolean;
};

export class Engine {
  readonly core: EngineState;
  readonly #one = new CommandRecords();
  readonly #row = new CommandRecords();

  constructor(core: EngineState = new EngineState()) {
    this.core = core;
  }

  /**
   * Applies one command.
   * @throws Error when the command is out of order or contradicts what the engine knows; the engine is then unusable.
   */
  apply(sequenced: SequencedCommand): AppliedCommand {
    this.execute(sequenced);
    const { sequence, timestampMs, command } = sequenced;
    return { sequence, timestampMs, events: renderEvents(this.core, command) };
  }

  /** Applies one command and leaves what happened as numbers in the sink: `apply` without making objects of it. */
  execute(sequenced: SequencedCommand): void {
    this.#one.write(0, sequenced, this.core.accounts);
    this.executeRecord(this.#one, 0);
  }

  /** `execute` of a command that is a record already. */
  executeRecord(records: CommandRecords, index: number): void {
    const { core } = this;
    const floatAt = index << COMMAND_FLOAT_SHIFT;
    beginCommand(core, records.floats[floatAt | COMMAND_SEQUENCE]!, records.floats[floatAt | TIME_MS]!);
    applyByRules(core, records, index);
    if (core.triggered.length > 0) runTriggeredStops(core);
  }

  /**
   * `execute` of commands as they stand in a journal row, in order; all of them are decoded before the first is applied.
   * @throws CodecError for bytes that are not exactly one command
   */
  executeEncoded(encoded: readonly Uint8Array[]): void {
    const { accounts } = this.core;
    const records = this.#row;
    for (const [index, bytes] of encoded.entries()) decodeRecord(records, index, bytes, accounts);
    let first = 0;
    for (let index = 0; index < encoded.length; index++) {
      const at = index << COMMAND_INT_SHIFT;
      if (records.commands[index] === undefined && records.ints[at | OF_ACCOUNT]! >= 0) continue;
      // A rare command may open the account that a later one names.
      this.executeRecords(records, first, index);
      records.resolve(index, encoded[index]!, accounts);
      this.executeRecord(records, index);
      first = index + 1;
    }
    this.executeRecords(records, first, encoded.length);
  }

  /** `executeRecord` of [from, to), in groups. */
  executeRecords(records: CommandRecords, from: number, to: number): void {
    for (let first = from; first < to; first += GROUP) {
      const end = Math.min(first + GROUP, to);
      if (this.core.pool.used > FAR_ORDERS && end - first > 1) touchAhead(this.core, records, first, end - first);
      for (let index = first; index < end; index++) this.executeRecord(records, index);
    }
  }

  /** Journal sequence of the last command applied; 0 before the first. */
  get lastSequence(): JournalSequence {
    return this.core.sequence as JournalSequence;
  }

  /** Time of the last command applied. */
  get lastTimestampMs(): TimestampMs {
    return this.core.nowMs as TimestampMs;
  }

  /** Vault event at which the ledger stands; 0 before the first. */
  get lastChainEventSequence(): ChainEventSequence {
    return this.core.lastChainEventSequence as ChainEventSequence;
  }

  get epoch(): number {
    return this.core.epoch;
  }

  get rulesVersion(): number {
    return this.core.rulesVersion;
  }

  /** Whether genesis was applied. */
  get started(): boolean {
    return this.core.genesis !== undefined;
  }

  /** Trades in no batch yet. */
  get unsealedTrades(): number {
    return this.core.trades.count;
  }

  /** Withdrawals in no batch yet that a seal would take; 0 while withdrawals are halted. */
  get pendingWithdrawalCount(): number {
    return this.core.withdrawalsHalted ? 0 : this.core.withdrawals.length;
  }

  /** Whether a seal would be taken now: below the cap on batches in flight, with something to seal. */
  get canSeal(): boolean {
    const { core } = this;
    if (core.genesis === undefined || core.batches.length >= core.genesis.limits.batchesInFlightMax) return false;
    return this.unsealedTrades > 0 || this.pendingWithdrawalCount > 0;
  }

  /** Time of the oldest trade in no batch; undefined when there is none. */
  get oldestUnsealedTimestampMs(): TimestampMs | undefined {
    const oldest = this.core.trades.oldestMs(this.core.trades.head);
    return oldest === Number.POSITIVE_INFINITY ? undefined : (oldest as TimestampMs);
  }

  /** When a tick is due: first expiry, end of a session key with live orders, dead man's switch or lease, or stops that wait to run. */
  get nextDeadlineMs(): TimestampMs | undefined {
    if (hasRunnableStops(this.core)) return this.core.nowMs as TimestampMs;
    const first = Math.min(firstDeadlineMs(this.core), firstLeaseEndMs(this.core));
    return first === Number.POSITIVE_INFINITY ? undefined : (first as TimestampMs);
  }

  /** Sealed and not final, oldest first: the same content every time, so that a lost publication can be made again. */
  batchesInFlight(): SealedBatch[] {
    return this.core.batches.map((batch) => toSealedBatch(this.core, batch));
  }

  /** The account's balance in the asset; all zero when it never had any. */
  balance(account: Address, asset: number): Balance {
    const { accounts, ledger } = this.core;
    const index = accounts.find(account);
    const slot = index < 0 ? 0 : ledger.find(index, asset);
    const figure = (which: number): Quanta => (slot === 0 ? 0 : ledger.get(slot, which)) as Quanta;
    return {
      available: figure(AVAILABLE),
      locked: figure(LOCKED),
      pendingWithdrawal: figure(PENDING_WITHDRAWAL),
      unsettledIn: figure(UNSETTLED_IN),
      unsettledOut: figure(UNSETTLED_OUT),
      settled: figure(SETTLED),
    };
  }

  /** Every account that ever had a balance or a fact from the chain, in order of appearance; the first collects the fees. */
  accounts(): readonly Address[] {
    return this.core.accounts.addresses;
  }

  /** The account's live orders, oldest first. */
  liveOrders(account: Address): LiveOrder[] {
    const index = this.core.accounts.find(account);
    if (index < 0) return [];
    return liveOrdersOf(this.core, index, () => true).map((id) => this.#liveOrder(id));
  }

  /** Price levels of one side, best first. */
  levels(market: number, side: Side): { price: PriceTicks; size: Lots }[] {
    const book = this.core.markets[market]?.book;
    if (book === undefined) return [];
    const code = side === 'buy' ? BUY : SELL;
    const levels = [];
    for (let price = side === 'buy' ? book.bestBid : book.bestAsk; price !== 0; price = book.nextPrice(code, price)) {
      levels.push({ price: price as PriceTicks, size: book.sizeAt(code, price) as Lots });
    }
    return levels;
  }

  #liveOrder(id: number): LiveOrder {
    const { pool, accounts } = this.core;
    const at = id << INT_SHIFT;
    return {
      account: accounts.addresses[pool.ints[at | ACCOUNT]!]!,
      lane: pool.termInts[(id << TERM_INT_SHIFT) | LANE]!,
      orderSequence: pool.termFloats[(id << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]!,
      digest: pool.digest(id),
      market: pool.ints[at | MARKET]!,
      side: SIDES[pool.ints[at | FLAGS]! & FLAG_SIDE]!,
      price: pool.ints[at | PRICE]! as PriceTicks,
      remaining: pool.floats[(id << FLOAT_SHIFT) | REMAINING]! as Lots,
      resting: pool.lifeInts[(id << LIFE_INT_SHIFT) | STATE] === STATE_RESTING,
    };
  }
}

/** Opens a command: order and time are checked, sinks cleared, and what is due by now ends first. */
function beginCommand(core: EngineState, sequence: number, timestampMs: number): void {
  if (sequence !== core.sequence + 1) throw new Error(`command ${sequence} came after ${core.sequence}`);
  if (!(timestampMs >= core.nowMs))
    throw new Error(`command ${sequence} has time ${timestampMs}, before ${core.nowMs}`);
  core.sequence = sequence;
  core.nowMs = timestampMs;
  core.sink.begin();
  core.pool.begin();
  core.ledger.begin(sequence);
  fireDeadlines(core);
  if (core.gateways.size > 0) fireLeases(core);
}
