/** The snapshot's sections of what is on its way to the chain: trades, withdrawals with their lanes, switches, batches in flight. */
import type { Hex, Quanta, TimestampSeconds } from '../domain/units.ts';
import type { InFlightBatch } from './batches.ts';
import { type BinaryReader, type BinaryWriter, corrupt } from './binary.ts';
import * as orders from './book/order-pool.ts';
import type { EngineState, PendingWithdrawal } from './state.ts';
import type { TradeLog } from './trades.ts';
import * as tradeLog from './trades.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { LIFE_INT_SHIFT, REFERENCES } = orders;
const {
  MAKER,
  MAKER_FEE_PPM,
  TAKER,
  TAKER_FEE_PPM,
  TRADE_FLAGS,
  TRADE_FLOAT_SHIFT,
  TRADE_ID,
  TRADE_INT_SHIFT,
  TRADE_MARKET,
  TRADE_PRICE,
  TRADE_SIZE,
  TRADE_STARTS_RUN,
  TRADE_TIME_MS,
  TRADE_VOIDED,
} = tradeLog;

const TRADE_INTS = [TRADE_PRICE, TAKER_FEE_PPM, MAKER_FEE_PPM, TRADE_MARKET] as const;
const TRADE_FLOATS = [TRADE_SIZE, TRADE_TIME_MS, TRADE_ID] as const;
/** Trades written in one step. */
const STEP = 512;

/** Trades that were not final when the snapshot was taken. */
export class TradeTable {
  readonly ints: Int32Array;
  readonly floats: Float64Array;

  constructor({ ints, start, tail }: TradeLog) {
    this.ints = ints.slice(start << TRADE_INT_SHIFT, tail << TRADE_INT_SHIFT);
    this.floats = new Float64Array(this.ints.buffer);
  }

  get length(): number {
    return this.ints.length >>> TRADE_INT_SHIFT;
  }

  isVoided(position: number): boolean {
    return (this.ints[(position << TRADE_INT_SHIFT) | TRADE_FLAGS]! & TRADE_VOIDED) !== 0;
  }

  /** Ids of the orders that trades name, oldest trade first, takers before makers. */
  named(): Int32Array {
    const named = new Int32Array(this.length * 2);
    let count = 0;
    for (let position = 0; position < this.length; position++) {
      if (this.isVoided(position)) continue;
      named[count++] = this.ints[(position << TRADE_INT_SHIFT) | TAKER]!;
      named[count++] = this.ints[(position << TRADE_INT_SHIFT) | MAKER]!;
    }
    return named.subarray(0, count);
  }
}

export function* writeTrades(
  out: BinaryWriter,
  trades: TradeTable,
  orders: { positionOf(id: number): number },
): Generator<undefined, void, undefined> {
  out.uint32(trades.named().length / 2);
  let startsRun = 0;
  for (let position = 0; position < trades.length; position++) {
    const at = position << TRADE_INT_SHIFT;
    const flags = trades.ints[at | TRADE_FLAGS]!;
    // The next trade of a run takes over as its first when the first was voided.
    startsRun |= flags & TRADE_STARTS_RUN;
    if (trades.isVoided(position)) continue;
    out.uint32(orders.positionOf(trades.ints[at | TAKER]!));
    out.uint32(orders.positionOf(trades.ints[at | MAKER]!));
    out.byte(flags | startsRun);
    startsRun = 0;
    for (const slot of TRADE_INTS) out.uint32(trades.ints[at + slot]!);
    for (const slot of TRADE_FLOATS) out.number(trades.floats[(position << TRADE_FLOAT_SHIFT) + slot]!);
    if (position % STEP === 0) yield;
  }
}

export function readTrades(input: BinaryReader, { trades, pool }: EngineState, ids: readonly number[]): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const position = trades.append();
    const at = position << TRADE_INT_SHIFT;
    for (const slot of [TAKER, MAKER]) {
      const id = idAt(ids, input.uint32());
      trades.ints[at + slot] = id;
      pool.lifeInts[(id << LIFE_INT_SHIFT) | REFERENCES]!++;
    }
    trades.ints[at | TRADE_FLAGS] = input.byte();
    for (const slot of TRADE_INTS) trades.ints[at + slot] = input.uint32();
    for (const slot of TRADE_FLOATS) trades.floats[(position << TRADE_FLOAT_SHIFT) + slot] = input.number();
  }
}

export function writeWithdrawals(out: BinaryWriter, withdrawals: readonly PendingWithdrawal[]): void {
  out.uint32(withdrawals.length);
  for (const withdrawal of withdrawals) {
    out.hex(withdrawal.account);
    out.uint32(withdrawal.asset);
    out.number(withdrawal.amount);
    out.hex(withdrawal.recipient);
    out.flag(withdrawal.native);
    out.uint32(withdrawal.lane);
    out.number(withdrawal.withdrawalSequence);
    out.number(withdrawal.expiry);
    out.number(withdrawal.maxFee);
    out.hex(withdrawal.digest);
    out.number(withdrawal.fee);
    out.number(withdrawal.requestedAt);
  }
}

export function readWithdrawals(input: BinaryReader): PendingWithdrawal[] {
  return readList(input, () => ({
    account: input.hex(),
    asset: input.uint32(),
    amount: input.number() as Quanta,
    recipient: input.hex(),
    native: input.flag(),
    lane: input.uint32(),
    withdrawalSequence: input.number(),
    expiry: input.number() as TimestampSeconds,
    maxFee: input.number() as Quanta,
    digest: input.hex(),
    fee: input.number() as Quanta,
    requestedAt: input.number(),
  }));
}

export function writeWithdrawalLanes(out: BinaryWriter, { withdrawalLanes }: EngineState): void {
  const accounts = [...withdrawalLanes].sort((a, b) => a[0] - b[0]);
  out.uint32(accounts.length);
  for (const [account, lanes] of accounts) {
    out.uint32(account);
    out.uint32(lanes.size);
    for (const [lane, { sequence, digest }] of [...lanes].sort((a, b) => a[0] - b[0])) {
      out.uint32(lane);
      out.number(sequence);
      out.hex(digest);
    }
  }
}

export function readWithdrawalLanes(input: BinaryReader, { withdrawalLanes }: EngineState): void {
  const count = input.uint32();
  for (let index = 0; index < count; index++) {
    const account = input.uint32();
    const lanes = readList(input, () => [input.uint32(), { sequence: input.number(), digest: input.hex() }] as const);
    withdrawalLanes.set(account, new Map(lanes));
  }
}

export function writeSwitches(out: BinaryWriter, { cancelAfter, registeredOrders }: EngineState): void {
  out.uint32(cancelAfter.size);
  for (const [account, deadlineMs] of [...cancelAfter].sort((a, b) => a[0] - b[0])) {
    out.uint32(account);
    out.number(deadlineMs);
  }
  out.uint32(registeredOrders.size);
  for (const registered of [...registeredOrders].sort()) out.text(registered);
}

export function readSwitches(input: BinaryReader, core: EngineState): void {
  for (const [account, deadlineMs] of readList(input, () => [input.uint32(), input.number()] as const)) {
    core.cancelAfter.set(account, deadlineMs);
    core.cancelAfterNotBeforeMs = Math.min(core.cancelAfterNotBeforeMs, deadlineMs);
  }
  for (const registered of readList(input, () => input.text())) core.registeredOrders.add(registered);
}

/**
 * Batches are told by how many of the log's trades each has, oldest first. Then, if there are any, the earlier cuts, oldest first: each by how
 * many batches it has in common with the present one, and the others.
 */
export function writeBatches(
  out: BinaryWriter,
  batches: EngineState['batches'],
  earlierCuts: EngineState['earlierCuts'],
): void {
  writeCut(out, batches);
  if (earlierCuts.length === 0) return;
  out.uint32(earlierCuts.length);
  for (const cut of earlierCuts) {
    const parting = cut.findIndex((batch, index) => batch.journalSequence !== batches[index]?.journalSequence);
    out.uint32(parting);
    const others = cut.slice(parting);
    writeCut(out, others);
    for (const { contentHash } of others) out.hex(contentHash ?? '0x');
  }
}

function writeCut(out: BinaryWriter, batches: readonly InFlightBatch[]): void {
  out.uint32(batches.length);
  for (const { batchId, epoch, journalSequence, tradeCount, withdrawals } of batches) {
    for (const value of [batchId, epoch, journalSequence]) out.number(value);
    out.uint32(tradeCount);
    writeWithdrawals(out, withdrawals);
  }
}

/** To be read last, after the trades. */
export function readBatches(input: BinaryReader, { batches, earlierCuts, trades }: EngineState): void {
  batches.push(...readCut(input, trades, trades.head));
  for (const { tradeCount } of batches) {
    trades.head += tradeCount;
    trades.count -= tradeCount;
  }
  if (input.ended) return;
  const cuts = input.uint32();
  for (let index = 0; index < cuts; index++) {
    const inCommon = batches.slice(0, input.uint32());
    const others = readCut(input, trades, inCommon.at(-1)?.end ?? trades.start);
    const named = others.map((batch) => ({ ...batch, contentHash: hashOf(input.hex()) }));
    earlierCuts.push([...inCommon, ...named]);
  }
}

function hashOf(hex: Hex): Hex | undefined {
  return hex === '0x' ? undefined : hex;
}

function readCut(input: BinaryReader, trades: TradeLog, from: number): InFlightBatch[] {
  let first = from;
  return readList(input, () => {
    const batchId = input.number();
    const epoch = input.number();
    const journalSequence = input.number();
    const tradeCount = input.uint32();
    const end = first + tradeCount;
    if (end > trades.tail) throw corrupt(`batch ${batchId} has more trades than there are`);
    const batch = { batchId, epoch, journalSequence, first, end, tradeCount };
    first = end;
    return { ...batch, withdrawals: readWithdrawals(input), contentHash: undefined };
  });
}

export function readList<Item>(input: BinaryReader, read: () => Item): Item[] {
  const count = input.uint32();
  const items: Item[] = [];
  for (let index = 0; index < count; index++) items.push(read());
  return items;
}

export function idAt(ids: readonly number[], position: number): number {
  const id = ids[position];
  if (id === undefined) throw corrupt(`order ${position} of ${ids.length} is named`);
  return id;
}
