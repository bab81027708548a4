/**
 * Memory latency of a group of commands at a time. A command reads and writes two dozen records that lie anywhere, each named by the
 * one before: applied one by one, an engine with many orders mostly waits for memory. So before a group is applied, its records are
 * read once, stage by stage: where they lie is worked out first from what is at hand by now, then they are read in a loop of few
 * instructions, so that as many loads as the processor can keep in flight wait together.
 *
 * Nothing is decided here and nothing is kept: a record that is not there yet, or that an earlier command of the group changes, is
 * only looked at in vain.
 */
import * as accountTable from './accounts.ts';
import * as orders from './book/order-pool.ts';
import type { CommandRecords } from './command-records.ts';
import * as records from './command-records.ts';
import * as laneTable from './lanes.ts';
import * as balances from './ledger.ts';
import type { EngineState, MarketBook } from './state.ts';
import * as tradeLog from './trades.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { ACCOUNT_INT_SHIFT, NEAR_BALANCES } = accountTable;
const { BUY, FLAG_SIDE, FLOAT_SHIFT, INT_SHIFT, LANE_SLOT, LIFE_INT_SHIFT, NEXT, PREVIOUS, REMAINING, TERM_INT_SHIFT } =
  orders;
const {
  CANCEL,
  COMMAND_FLOAT_SHIFT,
  COMMAND_INT_SHIFT,
  KIND,
  OF_ACCOUNT,
  ORDER_FLAGS,
  ORDER_LANE,
  ORDER_MARKET,
  ORDER_PRICE,
  ORDER_SIZE,
  OTHER,
} = records;
const { LANE_INT_SHIFT } = laneTable;
const { BALANCE_SHIFT } = balances;
const { MAKER, TAKER, TRADE_INT_SHIFT } = tradeLog;

/** Commands touched together: enough for their loads to overlap, few enough to stay in a near cache until they are applied. */
export const GROUP = 64;
/** Orders from which it pays: the tables of fewer fit a near cache. */
export const FAR_ORDERS = 10_000;

/** What was read, combined: a figure without meaning, kept so that no read is left out. */
const read = new Int32Array(1);
/** Commands of the group that name an account, as first slots of their records. */
const commandsAt = new Int32Array(GROUP);
let commandCount = 0;
/** Positions of their lanes' records. */
const slots = new Int32Array(GROUP);
/** Slots to be read next. */
const at = new Int32Array(4 * GROUP);
/** Orders that the group may end: those it names, and makers. */
const ending = new Int32Array(3 * GROUP);
let endingCount = 0;
/** Makers of a group; more wait for memory one by one. */
const MAKERS_MAX = 2 * GROUP;
/** Orders behind which new ones will queue. */
const tails = new Int32Array(GROUP);
let placing = 0;
/** Queues that the group takes from: market and side, the order next in line, lots wanted of it. */
const QUEUES = 8;
const queueKeys = new Int32Array(QUEUES);
const queueNext = new Int32Array(QUEUES);
const queueLots = new Float64Array(QUEUES);
let queueCount = 0;

/** Reads what the commands [first, first + count) will read, count ≤ GROUP. */
export function touchAhead(state: EngineState, commands: CommandRecords, first: number, count: number): void {
  list(commands.ints, first, count);
  touchLanes(state, commands.ints);
  touchBalances(state, commands.ints);
  findOrders(state, commands);
  findMakers(state);
  touchOrders(state);
  touchNeighbours(state);
}

/** Reads what settling the trades [from, to) of the log will read and write: orders that were traded a while ago. */
export function touchTrades({ trades, pool }: EngineState, from: number, to: number): void {
  const { ints, lifeInts } = pool;
  let combined = 0;
  for (let position = from; position < to; position++) {
    const taker = trades.ints[(position << TRADE_INT_SHIFT) | TAKER]!;
    const maker = trades.ints[(position << TRADE_INT_SHIFT) | MAKER]!;
    combined ^= ints[taker << INT_SHIFT]! ^ lifeInts[taker << LIFE_INT_SHIFT]!;
    combined ^= ints[maker << INT_SHIFT]! ^ lifeInts[maker << LIFE_INT_SHIFT]!;
  }
  read[0] = combined;
}

function touch(table: Int32Array, count: number): void {
  let combined = 0;
  for (let index = 0; index < count; index++) combined ^= table[at[index]!]!;
  read[0] = combined;
}

function list(ints: Int32Array, first: number, count: number): void {
  commandCount = 0;
  for (let index = first; index < first + count; index++) {
    const from = index << COMMAND_INT_SHIFT;
    if (ints[from | KIND] !== OTHER && ints[from | OF_ACCOUNT]! >= 0) commandsAt[commandCount++] = from;
  }
}

function touchLanes({ lanes }: EngineState, ints: Int32Array): void {
  const { positions } = lanes;
  for (let index = 0; index < commandCount; index++) {
    const from = commandsAt[index]!;
    at[index] = lanes.searchFrom(ints[from | OF_ACCOUNT]!, ints[from | ORDER_LANE]!);
  }
  touch(positions, commandCount);
  for (let index = 0; index < commandCount; index++) {
    const from = commandsAt[index]!;
    const slot = lanes.guess(ints[from | OF_ACCOUNT]!, ints[from | ORDER_LANE]!);
    slots[index] = slot;
    at[index] = slot << LANE_INT_SHIFT;
  }
  touch(lanes.ints, commandCount);
}

function touchBalances({ accounts, ledger }: EngineState, ints: Int32Array): void {
  const table = ledger.records;
  let sum = 0;
  for (let index = 0; index < commandCount; index++)
    at[index] = (ints[commandsAt[index]! | OF_ACCOUNT]! << ACCOUNT_INT_SHIFT) | NEAR_BALANCES;
  touch(accounts.ints, commandCount);
  for (let index = 0; index < commandCount; index++) {
    const balancesAt = at[index]!;
    sum +=
      table[accounts.ints[balancesAt]! << BALANCE_SHIFT]! + table[accounts.ints[balancesAt | 1]! << BALANCE_SHIFT]!;
  }
  read[0] = sum;
}

function findOrders({ lanes, markets }: EngineState, { ints, floats }: CommandRecords): void {
  endingCount = 0;
  placing = 0;
  queueCount = 0;
  for (let index = 0; index < commandCount; index++) {
    const from = commandsAt[index]!;
    const id = lanes.order(slots[index]!);
    ending[endingCount] = id;
    if (id !== 0) endingCount++;
    if (ints[from | KIND] === CANCEL) continue;
    const market = markets[ints[from | ORDER_MARKET]!];
    if (market === undefined) continue;
    const floatsFrom = from >>> (COMMAND_INT_SHIFT - COMMAND_FLOAT_SHIFT);
    const price = floats[floatsFrom | ORDER_PRICE]!;
    const side = ints[from | ORDER_FLAGS]! & FLAG_SIDE;
    tails[placing++] = market.book.nearTail(price);
    const best = side === BUY ? market.book.bestAsk : market.book.bestBid;
    if (best !== 0 && (side === BUY ? best <= price : best >= price))
      wantLots(market, side ^ 1, floats[floatsFrom | ORDER_SIZE]!);
  }
}

function wantLots({ book, index }: MarketBook, side: number, lots: number): void {
  const key = (index << 1) | side;
  let queue = 0;
  while (queue < queueCount && queueKeys[queue] !== key) queue++;
  if (queue === QUEUES) return;
  if (queue === queueCount) {
    queueCount++;
    queueKeys[queue] = key;
    queueNext[queue] = book.head(side);
    queueLots[queue] = 0;
  }
  queueLots[queue]! += lots;
}

/** An order in line is known only from the one before it: one step of every queue at a time. */
function findMakers({ pool }: EngineState): void {
  const { ints, floats } = pool;
  const end = Math.min(endingCount + MAKERS_MAX, ending.length) - QUEUES;
  for (let walking = queueCount > 0; walking && endingCount < end; ) {
    walking = false;
    for (let queue = 0; queue < queueCount; queue++) {
      const id = queueNext[queue]!;
      if (id === 0 || queueLots[queue]! <= 0) continue;
      walking = true;
      ending[endingCount++] = id;
      queueLots[queue]! -= floats[(id << FLOAT_SHIFT) | REMAINING]!;
      queueNext[queue] = ints[(id << INT_SHIFT) | NEXT]!;
    }
  }
}

function touchOrders({ pool }: EngineState): void {
  const { ints, lifeInts, termInts } = pool;
  let combined = 0;
  for (let index = 0; index < endingCount; index++) {
    const id = ending[index]!;
    combined ^= ints[id << INT_SHIFT]! ^ lifeInts[id << LIFE_INT_SHIFT]! ^ termInts[id << TERM_INT_SHIFT]!;
  }
  for (let index = 0; index < placing; index++) combined ^= ints[tails[index]! << INT_SHIFT]!;
  let free = pool.nextFree;
  for (let index = 0; index < placing; index++) {
    combined ^= lifeInts[free << LIFE_INT_SHIFT]! ^ termInts[free << TERM_INT_SHIFT]!;
    free = ints[(free << INT_SHIFT) | NEXT]!;
  }
  read[0] = combined;
}

function touchNeighbours({ pool, lanes }: EngineState): void {
  const { ints, lifeInts } = pool;
  const laneInts = lanes.ints;
  let combined = 0;
  for (let index = 0; index < endingCount; index++) {
    const id = ending[index]!;
    const from = id << INT_SHIFT;
    combined ^= ints[ints[from | NEXT]! << INT_SHIFT]! ^ ints[ints[from | PREVIOUS]! << INT_SHIFT]!;
    combined ^= laneInts[lifeInts[(id << LIFE_INT_SHIFT) | LANE_SLOT]! << LANE_INT_SHIFT]!;
  }
  read[0] = combined;
}
