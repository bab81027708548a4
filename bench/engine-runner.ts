import { BATCH_TRADES_MAX } from '../src/domain/batches.ts';
import type { Command, SequencedCommand } from '../src/domain/commands.ts';
import type { EngineEvent } from '../src/domain/events.ts';
import type { NewOrder } from '../src/domain/orders.ts';
import type { Address, ChainEventSequence, Hash, JournalSequence, TimestampMs } from '../src/domain/units.ts';
import { Book } from '../src/offchain-engine/book/book.ts';
import {
  CANCEL_NEWEST,
  FLAGS,
  FLOAT_SHIFT,
  GTC,
  INT_SHIFT,
  IOC as IOC_ORDER,
  OrderPool,
  PRICE,
  packFlags,
  REMAINING,
  STOP_NONE,
} from '../src/offchain-engine/book/order-pool.ts';
import {
  CANCEL as CANCEL_ORDER,
  COMMAND_FLOAT_SHIFT,
  COMMAND_INT_SHIFT,
  COMMAND_SEQUENCE,
  CommandRecords,
  KIND,
  OF_ACCOUNT,
  OF_SEQUENCE,
  ORDER_DIGEST,
  ORDER_EXPIRY,
  ORDER_FLAGS,
  ORDER_LANE,
  ORDER_MARKET,
  ORDER_MAX_FEE_PPM,
  ORDER_PRICE,
  ORDER_SIZE,
  PLACE,
  TIME_MS,
} from '../src/offchain-engine/command-records.ts';
import { DIGEST_WORDS } from '../src/offchain-engine/digest-words.ts';
import { Engine } from '../src/offchain-engine/engine.ts';
import { GROUP } from '../src/offchain-engine/touch-ahead.ts';
import { CANCEL, type Flow, HASH_START, IOC, mix } from './flow.ts';

import type { Outcome, Runner } from './runners.ts';

const START_MS = 1_700_000_000_000;
const DEPLOYED_MS = START_MS - 3_600_000;
const IN_FLIGHT = 4;
const USERS = 1_000;
/** More than are prepared at a time. */
const RECORDS = 256;

/** Account, lane and sequence of each order, by flow id. */
export type Lanes = {
  readonly accountOf: Uint16Array;
  readonly laneOf: Uint16Array;
  readonly sequenceOf: Float64Array;
};

/** What an SDK does beforehand: hand out a free lane per order, knowing which of the account's orders have ended. */
export function handOutLanes(flow: Flow): Lanes {
  const laneOf = new Uint16Array(flow.highestId + 1);
  const sequenceOf = new Float64Array(flow.highestId + 1);
  const free: number[][] = Array.from({ length: USERS * 2 + 1 }, () => []);
  const used = new Uint16Array(USERS * 2 + 1);
  const accountOf = new Uint16Array(flow.highestId + 1);
  const book = new NarratingBook();
  const release = (id: number): void => void free[accountOf[id]!]!.push(laneOf[id]!);
  for (let index = 0; index < flow.count; index++) {
    const id = flow.ids[index]!;
    if (flow.types[index] === CANCEL) {
      book.cancel(id, release);
      continue;
    }
    // Account 0 collects the fees; users follow in order, buyers before sellers.
    const account = 1 + flow.users[index]! + flow.sides[index]! * USERS;
    accountOf[id] = account;
    laneOf[id] = free[account]!.pop() ?? used[account]!++;
    sequenceOf[id] = START_MS - DEPLOYED_MS + index;
    book.submit(flow.sides[index]!, id, flow.prices[index]!, flow.sizes[index]!, flow.types[index] !== IOC, release);
  }
  return { accountOf, laneOf, sequenceOf };
}

/** A book that says which orders ended. */
class NarratingBook {
  readonly #pool = new OrderPool(1 << 12);
  readonly #book = new Book(this.#pool);
  readonly #ids = new Map<number, number>();
  readonly #flowIds = new Map<number, number>();

  cancel(flowId: number, ended: (flowId: number) => void): void {
    this.#end(this.#ids.get(flowId)!, ended);
  }

  submit(
    side: number,
    flowId: number,
    price: number,
    size: number,
    rests: boolean,
    ended: (flowId: number) => void,
  ): void {
    this.#pool.begin();
    const { floats, ints } = this.#pool;
    let left = size;
    for (let maker = this.#book.head(side ^ 1); maker !== 0 && left > 0; maker = this.#book.head(side ^ 1)) {
      const at = ints[(maker << INT_SHIFT) + PRICE]!;
      if (side === 0 ? at > price : at < price) break;
      const makerLeft = floats[(maker << FLOAT_SHIFT) + REMAINING]!;
      const traded = Math.min(left, makerLeft);
      left -= traded;
      if (traded < makerLeft) this.#book.reduce(maker, traded);
      else this.#end(maker, ended);
    }
    if (left === 0 || !rests) {
      ended(flowId);
      return;
    }
    const id = this.#pool.allocate();
    this.#pool.ints[(id << INT_SHIFT) + PRICE] = price;
    this.#pool.ints[(id << INT_SHIFT) + FLAGS] = side;
    this.#pool.floats[(id << FLOAT_SHIFT) + REMAINING] = left;
    this.#book.insert(id);
    this.#ids.set(flowId, id);
    this.#flowIds.set(id, flowId);
  }

  #end(id: number, ended: (flowId: number) => void): void {
    const flowId = this.#flowIds.get(id)!;
    this.#book.remove(id);
    this.#pool.release(id);
    this.#ids.delete(flowId);
    ended(flowId);
  }
}

/**
 * The full engine as a replay drives it: records of commands go in, 64 at a time, and everything happens that `apply` does:
 * accounts, locks, fees, lanes, expiries, self-trade prevention, what happened noted in the sink, batches sealed as soon as they are
 * full and settled four batches later. Decoding rows into records is not in it. `rendering` goes the way of a leader instead: decoded commands in, with addresses and
 * digests as text, event objects out.
 *
 * Buyers and sellers are different accounts, 1,000 of each whatever rests, so that prevention is checked on every trade and,
 * as in the oracle, never prevents one.
 */
export class EngineRunner implements Runner {
  readonly engine = new Engine();
  readonly #flow: Flow;
  readonly #lanes: Lanes;
  readonly #rendering: boolean;
  readonly #addresses = Array.from({ length: USERS * 2 + 1 }, (_, account) => address(account));
  readonly #records = new CommandRecords(RECORDS);
  #commands: SequencedCommand[] = [];
  #prepared = 0;
  #sequence = 0;
  #eventSequence = 0;
  #settled = 0;
  #volume = 0;
  #hash = HASH_START;

  /** @param rendering make events of what happened too; only then are volume and hash known. */
  constructor(flow: Flow, lanes: Lanes, rendering = false) {
    this.#flow = flow;
    this.#lanes = lanes;
    this.#rendering = rendering;
    this.#open();
  }

  prepare(from: number, to: number): void {
    this.#prepared = from;
    if (this.#rendering) this.#commands = [];
    for (let index = from; index < to; index++) {
      if (this.#rendering) this.#commands.push(this.#command(index));
      else this.#writeRecord(index - from, index);
    }
  }

  play(from: number, to: number): void {
    const { engine } = this;
    const { trades } = engine.core;
    for (let first = from; first < to; first += GROUP) {
      const end = Math.min(first + GROUP, to);
      if (this.#rendering) this.#apply(first, end);
      else {
        // Seals and settlements in between take sequences of their own.
        const { floats } = this.#records;
        for (let at = first - this.#prepared; at < end - this.#prepared; at++)
          floats[(at << COMMAND_FLOAT_SHIFT) + COMMAND_SEQUENCE] = ++this.#sequence;
        engine.executeRecords(this.#records, first - this.#prepared, end - this.#prepared);
      }
      if (trades.count >= BATCH_TRADES_MAX) this.#settleBatches(end - 1);
      // A sequencer asks with every row.
      if (engine.nextDeadlineMs === 0) throw new Error('a tick is due at the beginning of time');
    }
  }

  outcome(): Outcome {
    const trades = this.engine.core.nextTradeId - 1;
    return this.#rendering ? { trades, volume: this.#volume, hash: this.#hash >>> 0 } : { trades };
  }

  #apply(first: number, end: number): void {
    for (let index = first; index < end; index++) {
      const prepared = this.#commands[index - this.#prepared]! as { sequence: number } & SequencedCommand;
      prepared.sequence = ++this.#sequence as JournalSequence;
      this.#note(this.engine.apply(prepared).events);
    }
  }

  /** What decoding a journal row gives for `#command`. */
  #writeRecord(record: number, index: number): void {
    const { types, sides, ids, prices, sizes } = this.#flow;
    const { accountOf, laneOf, sequenceOf } = this.#lanes;
    const { ints, floats, signers } = this.#records;
    const at = record << COMMAND_INT_SHIFT;
    const floatAt = record << COMMAND_FLOAT_SHIFT;
    const id = ids[index]!;
    floats[floatAt + TIME_MS] = START_MS + index;
    ints[at + OF_ACCOUNT] = accountOf[id]!;
    ints[at + ORDER_LANE] = laneOf[id]!;
    floats[floatAt + OF_SEQUENCE] = sequenceOf[id]!;
    if (types[index] === CANCEL) {
      ints[at + KIND] = CANCEL_ORDER;
      return;
    }
    ints[at + KIND] = PLACE;
    ints[at + ORDER_FLAGS] = packFlags(
      sides[index]!,
      types[index] === IOC ? IOC_ORDER : GTC,
      false,
      CANCEL_NEWEST,
      STOP_NONE,
    );
    ints[at + ORDER_MARKET] = 0;
    ints[at + ORDER_MAX_FEE_PPM] = 1_000;
    floats[floatAt + ORDER_SIZE] = sizes[index]!;
    floats[floatAt + ORDER_PRICE] = prices[index]!;
    floats[floatAt + ORDER_EXPIRY] = expiryOf(id);
    signers[record] = '';
    for (let word = 0; word < DIGEST_WORDS; word++) ints[at + ORDER_DIGEST + word] = Math.imul(id + word, 0x9e3779b1);
  }

  #command(index: number): SequencedCommand {
    const { types, sides, ids, prices, sizes } = this.#flow;
    const { accountOf, laneOf, sequenceOf } = this.#lanes;
    const id = ids[index]!;
    const account = this.#addresses[accountOf[id]!]!;
    const key = { account, lane: laneOf[id]!, orderSequence: sequenceOf[id]! };
    const timestampMs = (START_MS + index) as TimestampMs;
    if (types[index] === CANCEL)
      return { sequence: 0 as JournalSequence, timestampMs, command: { kind: 'cancelOrder', order: key } };
    const order = {
      account,
      market: 0,
      side: sides[index] === 0 ? 'buy' : 'sell',
      sizeLots: sizes[index]!,
      priceTicks: prices[index]!,
      timeInForce: types[index] === IOC ? 'ioc' : 'gtc',
      postOnly: false,
      lane: key.lane,
      orderSequence: key.orderSequence,
      expiry: expiryOf(id),
      maxFeePpm: 1_000,
      signer: account,
      digest: digestOf(id),
      signature: SIGNATURE,
      clientOrderId: '',
      selfTradePrevention: 'cancel_newest',
      stop: undefined,
    } as NewOrder;
    return { sequence: 0 as JournalSequence, timestampMs, command: { kind: 'placeOrder', order } };
  }

  #note(events: readonly EngineEvent[]): void {
    for (const event of events) {
      if (event.kind === 'orderRejected' || event.kind === 'cancelRejected')
        throw new Error(`a command was refused: ${JSON.stringify(event)}`);
      if (event.kind !== 'trade') continue;
      this.#volume += event.size;
      this.#hash = mix(this.#hash, flowIdOf(event.taker.digest), flowIdOf(event.maker.digest), event.price, event.size);
    }
  }

  #settleBatches(index: number): void {
    const { batches } = this.engine.core;
    this.#execute({ kind: 'sealBatch', tradesMax: BATCH_TRADES_MAX, withdrawalsMax: 0 }, START_MS + index);
    if (batches.length < IN_FLIGHT) return;
    const settled = { batchId: ++this.#settled, contentHash: SIGNATURE, skips: [], withdrawals: [] } as const;
    const eventSequence = ++this.#eventSequence as ChainEventSequence;
    this.#execute({ kind: 'batchSettled', ...settled, eventSequence }, START_MS + index);
  }

  #execute(command: Command, timestampMs: number): void {
    const sequenced = {
      sequence: ++this.#sequence as JournalSequence,
      timestampMs: timestampMs as TimestampMs,
      command,
    };
    if (this.#rendering) this.engine.apply(sequenced);
    else this.engine.execute(sequenced);
  }

  #open(): void {
    const fact = (command: object): void =>
      this.#execute({ ...command, eventSequence: ++this.#eventSequence } as Command, START_MS);
    this.#execute(
      {
        kind: 'genesis',
        chainId: 1,
        vault: address(9_999_999),
        deployedAtMs: DEPLOYED_MS,
        limits: {
          openOrdersPerAccountMax: 60_000,
          batchesInFlightMax: IN_FLIGHT + 2,
          unsettledAgeMaxMs: 1e12,
          orderAgeMaxMs: 600_000,
        },
        defaultParameters: { makerFeePpm: 200, takerFeePpm: 500, minNotional: 1, priceBandPpm: 500_000 },
        withdrawalFees: [],
      } as unknown as Command,
      START_MS,
    );
    for (const index of [0, 1]) {
      fact({
        kind: 'assetListed',
        asset: {
          index,
          token: address(8_888_880 + index),
          symbol: `T${index}`,
          decimals: 6,
          quantumUnits: 1n,
          minDeposit: 1,
        },
      });
    }
    const market = {
      index: 0,
      symbol: 'T0-T1',
      baseAsset: 0,
      quoteAsset: 1,
      lotQuanta: 10,
      tickQuanta: 1,
      maxSizeLots: 1e6,
      maxPriceTicks: 2e9,
    };
    fact({ kind: 'marketListed', market });
    for (let user = 0; user < USERS * 2; user++) {
      for (const asset of [0, 1])
        fact({
          kind: 'depositCredited',
          account: this.#addresses[user + 1],
          asset,
          amount: Math.floor(2 ** 51 / (USERS * 2)),
        });
    }
  }
}

/** Spread over an hour, a day from the start. */
function expiryOf(id: number): number {
  return START_MS / 1000 + 86_400 + (id % 3_600);
}

const SIGNATURE: Hash = `0x${'5'.repeat(64)}`;

/** Digests spread like real ones, with the flow's id in front. */
function digestOf(id: number): Hash {
  return `0x${id.toString(16).padStart(8, '0')}${(Math.imul(id, 0x9e3779b1) >>> 0).toString(16).padStart(56, '7')}`;
}

function flowIdOf(digest: Hash): number {
  return Number.parseInt(digest.slice(2, 10), 16);
}

/** Addresses spread like real ones. */
function address(number: number): Address {
  const high = (Math.imul(number, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0');
  return `0x${high}${number.toString(16).padStart(32, '0')}`;
}
