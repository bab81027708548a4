/** Plays a flow through the bare book, the full engine and nodejs-order-book, each behind the same small interface. */
import { createRequire } from 'node:module';
import { BATCH_TRADES_MAX } from '../src/domain/batches.ts';
import type { ChainCommand, Command } from '../src/domain/commands.ts';
import type { Address, JournalSequence, TimestampMs } from '../src/domain/units.ts';
import { sealBatch } from '../src/offchain-engine/batches.ts';
import { Book } from '../src/offchain-engine/book/book.ts';
import {
  FLAGS,
  FLOAT_SHIFT,
  INT_SHIFT,
  ORDER_SEQUENCE,
  OrderPool,
  PRICE,
  REMAINING,
} from '../src/offchain-engine/book/order-pool.ts';
import { cancelOrder } from '../src/offchain-engine/cancels.ts';
import { applyChainFact } from '../src/offchain-engine/chain-facts.ts';
import { beginCommand, Engine } from '../src/offchain-engine/engine.ts';
import { placeOrder } from '../src/offchain-engine/order-entry.ts';
import { OrderTicket } from '../src/offchain-engine/order-ticket.ts';
import { runTriggeredStops } from '../src/offchain-engine/stops.ts';
import {
  MAKER,
  TAKER,
  TRADE_FLOAT_SHIFT,
  TRADE_INT_SHIFT,
  TRADE_PRICE,
  TRADE_SIZE,
} from '../src/offchain-engine/trades.ts';
import { CANCEL, type Flow, HASH_START, IOC, mix } from './flow.ts';

export type Outcome = { readonly trades: number; readonly volume: number; readonly hash: number | undefined };

export type Runner = {
  /** Plays records [from, to). */
  play(from: number, to: number): void;
  outcome(): Outcome;
};

/** The book alone: queues and levels, no accounts. */
export class BookRunner implements Runner {
  readonly pool = new OrderPool(1 << 12);
  readonly #book = new Book(this.pool);
  readonly #flow: Flow;
  /** Pool id by flow id while it rests, and flow id by pool id. */
  readonly #idOf: Int32Array;
  #flowIds = new Int32Array(1 << 12);
  #trades = 0;
  #volume = 0;
  #hash = HASH_START;

  constructor(flow: Flow) {
    this.#flow = flow;
    this.#idOf = new Int32Array(flow.highestId + 1);
  }

  play(from: number, to: number): void {
    const { types, sides, ids, prices, sizes } = this.#flow;
    for (let index = from; index < to; index++) {
      if (types[index] === CANCEL) this.#cancel(ids[index]!);
      else this.#submit(sides[index]!, ids[index]!, prices[index]!, sizes[index]!, types[index] !== IOC);
    }
  }

  outcome(): Outcome {
    return { trades: this.#trades, volume: this.#volume, hash: this.#hash >>> 0 };
  }

  #cancel(flowId: number): void {
    const id = this.#idOf[flowId]!;
    this.#book.remove(id);
    this.pool.release(id);
  }

  #submit(side: number, flowId: number, price: number, size: number, rests: boolean): void {
    const book = this.#book;
    const { pool } = this;
    let left = size;
    while (left > 0) {
      const best = side === 0 ? book.bestAsk : book.bestBid;
      if (best === 0 || (side === 0 ? best > price : best < price)) break;
      const maker = book.head(side ^ 1);
      const makerLeft = pool.floats[(maker << FLOAT_SHIFT) + REMAINING]!;
      const traded = Math.min(left, makerLeft);
      left -= traded;
      this.#trades++;
      this.#volume += traded;
      this.#hash = mix(this.#hash, flowId, this.#flowIds[maker]!, best, traded);
      if (traded < makerLeft) book.reduce(maker, traded);
      else {
        book.remove(maker);
        pool.release(maker);
      }
    }
    if (left === 0 || !rests) return;
    const id = pool.allocate();
    pool.ints[(id << INT_SHIFT) + PRICE] = price;
    pool.ints[(id << INT_SHIFT) + FLAGS] = side;
    pool.floats[(id << FLOAT_SHIFT) + REMAINING] = left;
    book.insert(id);
    if (id >= this.#flowIds.length) this.#growFlowIds();
    this.#flowIds[id] = flowId;
    this.#idOf[flowId] = id;
  }

  #growFlowIds(): void {
    const grown = new Int32Array(this.#flowIds.length * 2);
    grown.set(this.#flowIds);
    this.#flowIds = grown;
  }
}

const START_MS = 1_700_000_000_000;
const DEPLOYED_MS = START_MS - 3_600_000;
const IN_FLIGHT = 4;
const USERS = 1_000;

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
 * The full engine through its integer interface: accounts, locks, fees, lanes, expiries, self-trade prevention, events,
 * batches sealed as soon as they are full and settled four batches later. Buyers and sellers are different accounts, so that
 * prevention is checked on every trade and, as in the oracle, never prevents one.
 */
export class EngineRunner implements Runner {
  readonly engine = new Engine();
  readonly #flow: Flow;
  readonly #lanes: Lanes;
  readonly #ticket = new OrderTicket();
  readonly #verify: boolean;
  #sequence = 0;
  #eventSequence = 0;
  #settled = 0;
  #trades = 0;
  #volume = 0;
  #hash = HASH_START;
  readonly #flowIdOf: Uint32Array;

  /** @param verify hash the trades as well, which costs time. */
  constructor(flow: Flow, lanes: Lanes, verify = false) {
    this.#flow = flow;
    this.#lanes = lanes;
    this.#verify = verify;
    this.#flowIdOf = new Uint32Array(verify ? flow.count : 0);
    this.#open();
  }

  play(from: number, to: number): void {
    const { core } = this.engine;
    const { types, sides, ids, prices, sizes } = this.#flow;
    const { accountOf, laneOf, sequenceOf } = this.#lanes;
    const ticket = this.#ticket;
    for (let index = from; index < to; index++) {
      const id = ids[index]!;
      beginCommand(core, ++this.#sequence, START_MS + index);
      if (types[index] === CANCEL) {
        if (!cancelOrder(core, accountOf[id]!, laneOf[id]!, sequenceOf[id]!))
          throw new Error(`order ${id} is not live`);
      } else {
        ticket.account = accountOf[id]!;
        ticket.side = sides[index]!;
        ticket.sizeLots = sizes[index]!;
        ticket.priceTicks = prices[index]!;
        ticket.timeInForce = types[index] === IOC ? 1 : 0;
        ticket.lane = laneOf[id]!;
        ticket.orderSequence = sequenceOf[id]!;
        if (this.#verify) this.#flowIdOf[index] = id;
        const tradesBefore = core.nextTradeId;
        const refused = placeOrder(core, ticket);
        if (refused !== 0) throw new Error(`order ${id} was refused with code ${refused}`);
        if (core.nextTradeId !== tradesBefore) this.#count(core.nextTradeId - tradesBefore);
      }
      runTriggeredStops(core);
      if (core.trades.count >= BATCH_TRADES_MAX) this.#settleBatches(index);
    }
  }

  outcome(): Outcome {
    return { trades: this.#trades, volume: this.#volume, hash: this.#verify ? this.#hash >>> 0 : undefined };
  }

  #count(fresh: number): void {
    const { trades, pool } = this.engine.core;
    this.#trades += fresh;
    for (let at = trades.tail - fresh; at < trades.tail; at++) {
      const size = trades.floats[(at << TRADE_FLOAT_SHIFT) + TRADE_SIZE]!;
      this.#volume += size;
      if (!this.#verify) continue;
      const flowId = (slot: number): number => {
        const id = trades.ints[(at << TRADE_INT_SHIFT) + slot]!;
        return this.#flowIdOf[pool.floats[(id << FLOAT_SHIFT) + ORDER_SEQUENCE]! - (START_MS - DEPLOYED_MS)]!;
      };
      this.#hash = mix(
        this.#hash,
        flowId(TAKER),
        flowId(MAKER),
        trades.ints[(at << TRADE_INT_SHIFT) + TRADE_PRICE]!,
        size,
      );
    }
  }

  #settleBatches(index: number): void {
    const { core } = this.engine;
    beginCommand(core, ++this.#sequence, START_MS + index);
    sealBatch(core, BATCH_TRADES_MAX, 0);
    if (core.batches.length < IN_FLIGHT) return;
    beginCommand(core, ++this.#sequence, START_MS + index);
    const settled = {
      kind: 'batchSettled',
      batchId: ++this.#settled,
      contentHash: '0x',
      skips: [],
      withdrawals: [],
    } as const;
    applyChainFact(core, { ...settled, eventSequence: ++this.#eventSequence } as unknown as ChainCommand);
  }

  #open(): void {
    const fact = (command: object): void =>
      this.#apply({ ...command, eventSequence: ++this.#eventSequence } as Command);
    this.#apply({
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
    } as unknown as Command);
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
        fact({ kind: 'depositCredited', account: address(user + 1), asset, amount: Math.floor(2 ** 51 / (USERS * 2)) });
    }
    const ticket = this.#ticket;
    ticket.market = 0;
    ticket.expiry = START_MS / 1000 + 86_400;
    ticket.maxFeePpm = 1_000;
    ticket.digest = `0x${'ab'.repeat(32)}`;
  }

  #apply(command: Command): void {
    this.engine.apply({ sequence: ++this.#sequence as JournalSequence, timestampMs: START_MS as TimestampMs, command });
  }
}

/** Addresses spread like real ones. */
function address(number: number): Address {
  const high = (Math.imul(number, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0');
  return `0x${high}${number.toString(16).padStart(32, '0')}`;
}

type PeerReply = { done: { id: string }[]; partial: { id: string } | null; quantityLeft: number; err: Error | null };
type PeerBook = { limit(order: object): PeerReply; cancel(id: string): unknown };

/** nodejs-order-book from npm, with its own ids (strings). */
export class PeerRunner implements Runner {
  readonly #book: PeerBook;
  readonly #flow: Flow;
  /** Made beforehand, as a client would send them. */
  readonly #names: string[];
  #trades = 0;
  #volume = 0;

  constructor(flow: Flow) {
    const { OrderBook } = createRequire(import.meta.url)('nodejs-order-book') as { OrderBook: new () => PeerBook };
    this.#book = new OrderBook();
    this.#flow = flow;
    this.#names = Array.from({ length: flow.highestId + 1 }, (_, id) => String(id));
  }

  play(from: number, to: number): void {
    const { types, sides, ids, prices, sizes } = this.#flow;
    for (let index = from; index < to; index++) {
      const id = this.#names[ids[index]!]!;
      if (types[index] === CANCEL) {
        this.#book.cancel(id);
        continue;
      }
      const size = sizes[index]!;
      const reply = this.#book.limit({
        side: sides[index] === 0 ? 'buy' : 'sell',
        id,
        size,
        price: prices[index]!,
        timeInForce: types[index] === IOC ? 'IOC' : 'GTC',
      });
      if (reply.err !== null) throw reply.err;
      for (const done of reply.done) if (done.id !== id) this.#trades++;
      if (reply.partial !== null && reply.partial.id !== id) this.#trades++;
      this.#volume += size - reply.quantityLeft;
    }
  }

  outcome(): Outcome {
    return { trades: this.#trades, volume: this.#volume, hash: undefined };
  }
}
