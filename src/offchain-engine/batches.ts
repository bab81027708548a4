/**
 * Sealing of batches from pure state, and their end when the vault has settled them.
 *
 * A batch takes the oldest trades that are in no batch, whole runs only (a run is what one taker traded at once), up to the
 * asked number; the first run goes in even if it is larger, and no run exceeds `BATCH_TRADES_MAX`. Withdrawals follow in
 * order of request. Ids are 1, 2, 3 …; a sealed batch stays in flight until the vault's event says that it is settled, and
 * batches end in the order they were sealed.
 */
import {
  BATCH_TRADES_MAX,
  type BatchOrder,
  type SealedBatch,
  SKIP_REASONS,
  type SkipReason,
  type SkipReasonCode,
  withdrawalsBeside,
} from '../domain/batches.ts';
import type { ChainFact } from '../domain/commands.ts';
import type {
  Address,
  ChainEventSequence,
  Hash,
  JournalSequence,
  Lots,
  Ppm,
  PriceTicks,
  TimestampSeconds,
} from '../domain/units.ts';
import {
  ACCOUNT,
  EXPIRY,
  FLAG_POST_ONLY,
  FLAG_SIDE,
  FLAGS,
  FLOAT_SHIFT,
  INT_SHIFT,
  LANE,
  MARKET,
  MAX_FEE_PPM,
  ORDER_SEQUENCE,
  type OrderPool,
  PLACED_AT,
  PRICE,
  SEAL_INDEX,
  SIZE,
  timeInForceOf,
} from './book/order-pool.ts';
import { SIDES, TIMES_IN_FORCE } from './codes.ts';
import { postingsOf, remedyDeficits, settleTrade, voidTrade } from './reversals.ts';
import type { EngineState, PendingWithdrawal } from './state.ts';
import {
  MAKER,
  MAKER_FEE_PPM,
  TAKER,
  TAKER_FEE_PPM,
  TRADE_FLAGS,
  TRADE_FLOAT_SHIFT,
  TRADE_ID,
  TRADE_INT_SHIFT,
  TRADE_SIZE,
  TRADE_STARTS_RUN,
  TRADE_TIME_MS,
  TRADE_VOIDED,
} from './trades.ts';
import { executeWithdrawal, failPendingWithdrawals, failWithdrawal } from './withdrawals.ts';

/** A sealed batch as copies of the records it was built from; TAKER and MAKER are indices into its orders. */
export type InFlightBatch = {
  readonly batchId: number;
  readonly epoch: number;
  readonly journalSequence: number;
  readonly tradeInts: Int32Array;
  readonly tradeFloats: Float64Array;
  readonly orderInts: Int32Array;
  readonly orderFloats: Float64Array;
  readonly digests: readonly string[];
  readonly signers: readonly string[];
  readonly withdrawals: readonly PendingWithdrawal[];
};

export const tradeCountOf = (batch: InFlightBatch): number => batch.tradeInts.length >>> TRADE_INT_SHIFT;

/** Seals what is due. @returns the batch, or undefined when there is nothing to seal or too many batches are in flight. */
export function sealBatch(state: EngineState, tradesMax: number, withdrawalsMax: number): InFlightBatch | undefined {
  const { batchesInFlightMax } = state.genesis!.limits;
  if (state.batches.length >= batchesInFlightMax) return undefined;
  failPendingWithdrawals(state, 'expired', (withdrawal) => withdrawal.expiry * 1000 <= state.nowMs);
  const end = endOfRuns(state, Math.min(tradesMax, BATCH_TRADES_MAX));
  const takeWithdrawals = state.withdrawalsHalted
    ? 0
    : Math.min(withdrawalsMax, withdrawalsBeside(end - state.trades.head), state.withdrawals.length);
  if (end === state.trades.head && takeWithdrawals === 0) return undefined;
  const withdrawals = state.withdrawals.splice(0, takeWithdrawals);
  const batch = copyOut(state, end, withdrawals);
  dropSealed(state, end);
  state.nextBatchId++;
  state.batches.push(batch);
  return batch;
}

/** Position after the last trade to take: whole runs, at most `tradesMax` trades, but always the first run. */
function endOfRuns(state: EngineState, tradesMax: number): number {
  const { trades } = state;
  let end = trades.head;
  let taken = 0;
  for (let at = trades.head; at < trades.tail; at++) {
    const flags = trades.ints[(at << TRADE_INT_SHIFT) + TRADE_FLAGS]!;
    if ((flags & TRADE_STARTS_RUN) !== 0 && taken > 0) end = at;
    if ((flags & TRADE_VOIDED) !== 0) continue;
    taken++;
    if (taken > tradesMax && end > trades.head) return end;
    if (taken > BATCH_TRADES_MAX) return end;
  }
  return taken === 0 ? trades.head : trades.tail;
}

function copyOut(state: EngineState, end: number, withdrawals: readonly PendingWithdrawal[]): InFlightBatch {
  const { trades, pool } = state;
  const positions: number[] = [];
  const ids: number[] = [];
  for (let at = trades.head; at < end; at++) {
    const intAt = at << TRADE_INT_SHIFT;
    if ((trades.ints[intAt + TRADE_FLAGS]! & TRADE_VOIDED) !== 0) continue;
    positions.push(at);
    collect(pool, trades.ints[intAt + TAKER]!, ids);
    collect(pool, trades.ints[intAt + MAKER]!, ids);
  }
  const sorted = sortOrders(state, ids);
  const orderInts = new Int32Array(sorted.length << INT_SHIFT);
  const digests: string[] = [];
  const signers: string[] = [];
  for (let index = 0; index < sorted.length; index++) {
    const id = sorted[index]!;
    digests.push(pool.digests[id]!);
    signers.push(pool.signers[id]!);
    copyRecord(pool.ints, id << INT_SHIFT, orderInts, index << INT_SHIFT, 1 << INT_SHIFT);
    pool.ints[(id << INT_SHIFT) + SEAL_INDEX] = index + 1;
  }
  const tradeInts = new Int32Array(positions.length << TRADE_INT_SHIFT);
  for (let index = 0; index < positions.length; index++) {
    const to = index << TRADE_INT_SHIFT;
    copyRecord(trades.ints, positions[index]! << TRADE_INT_SHIFT, tradeInts, to, 1 << TRADE_INT_SHIFT);
    tradeInts[to + TAKER] = pool.ints[(tradeInts[to + TAKER]! << INT_SHIFT) + SEAL_INDEX]! - 1;
    tradeInts[to + MAKER] = pool.ints[(tradeInts[to + MAKER]! << INT_SHIFT) + SEAL_INDEX]! - 1;
  }
  for (const id of sorted) pool.ints[(id << INT_SHIFT) + SEAL_INDEX] = 0;
  return {
    batchId: state.nextBatchId,
    epoch: state.epoch,
    journalSequence: state.sequence,
    tradeInts,
    tradeFloats: new Float64Array(tradeInts.buffer),
    orderInts,
    orderFloats: new Float64Array(orderInts.buffer),
    digests,
    signers,
    withdrawals,
  };
}

/** For records this short a loop beats `set` with a view. */
function copyRecord(from: Int32Array, fromAt: number, to: Int32Array, toAt: number, length: number): void {
  for (let slot = 0; slot < length; slot++) to[toAt + slot] = from[fromAt + slot]!;
}

function collect(pool: OrderPool, id: number, ids: number[]): void {
  const at = (id << INT_SHIFT) + SEAL_INDEX;
  if (pool.ints[at] !== 0) return;
  pool.ints[at] = 1;
  ids.push(id);
}

/**
 * Ids strictly ascending by account address, lane, sequence. Sorted natively by the first 43 bits of the address, then each
 * group with equal bits (mostly one account's orders) by comparison.
 */
function sortOrders(state: EngineState, ids: readonly number[]): number[] {
  const { ints, floats } = state.pool;
  const { addresses, prefixes } = state.accounts;
  // 400 orders at most: the index fits the ten bits below the prefix.
  const keys = new Float64Array(ids.length);
  for (let index = 0; index < ids.length; index++) {
    keys[index] = prefixes[ints[(ids[index]! << INT_SHIFT) + ACCOUNT]!]! * 1024 + index;
  }
  keys.sort();
  const sorted: number[] = [];
  for (let index = 0; index < keys.length; index++) sorted.push(ids[keys[index]! % 1024]!);
  const compare = (a: number, b: number): number => {
    const aAccount = ints[(a << INT_SHIFT) + ACCOUNT]!;
    const bAccount = ints[(b << INT_SHIFT) + ACCOUNT]!;
    if (aAccount !== bAccount) return addresses[aAccount]! < addresses[bAccount]! ? -1 : 1;
    return (
      ints[(a << INT_SHIFT) + LANE]! - ints[(b << INT_SHIFT) + LANE]! ||
      floats[(a << FLOAT_SHIFT) + ORDER_SEQUENCE]! - floats[(b << FLOAT_SHIFT) + ORDER_SEQUENCE]!
    );
  };
  for (let first = 0; first < keys.length; ) {
    const prefix = Math.floor(keys[first]! / 1024);
    let next = first + 1;
    while (next < keys.length && Math.floor(keys[next]! / 1024) === prefix) next++;
    if (next - first > 1) sorted.splice(first, next - first, ...sorted.slice(first, next).sort(compare));
    first = next;
  }
  return sorted;
}

function dropSealed(state: EngineState, end: number): void {
  const { trades, pool } = state;
  for (let at = trades.head; at < end; at++) {
    if ((trades.ints[(at << TRADE_INT_SHIFT) + TRADE_FLAGS]! & TRADE_VOIDED) !== 0) continue;
    trades.count--;
    trades.dropReferences(at, pool);
  }
  trades.head = end;
}

/** The batch as the rest of the exchange sees it; the same object content every time. */
export function toSealedBatch(state: EngineState, batch: InFlightBatch): SealedBatch {
  return {
    batchId: batch.batchId,
    epoch: batch.epoch,
    journalSequence: batch.journalSequence as JournalSequence,
    orders: batch.digests.map((_, index) => toBatchOrder(state, batch, index)),
    trades: Array.from({ length: tradeCountOf(batch) }, (_, index) => {
      const at = index << TRADE_INT_SHIFT;
      const floatAt = index << TRADE_FLOAT_SHIFT;
      return {
        tradeId: batch.tradeFloats[floatAt + TRADE_ID]!,
        takerOrder: batch.tradeInts[at + TAKER]!,
        makerOrder: batch.tradeInts[at + MAKER]!,
        sizeLots: batch.tradeFloats[floatAt + TRADE_SIZE]! as Lots,
        takerFeePpm: batch.tradeInts[at + TAKER_FEE_PPM]! as Ppm,
        makerFeePpm: batch.tradeInts[at + MAKER_FEE_PPM]! as Ppm,
      };
    }),
    withdrawals: batch.withdrawals.map(({ requestedAt, ...terms }) => ({
      ...terms,
      requestedAt: requestedAt as JournalSequence,
    })),
  };
}

function toBatchOrder(state: EngineState, batch: InFlightBatch, index: number): BatchOrder {
  const at = index << INT_SHIFT;
  const floatAt = index << FLOAT_SHIFT;
  const { orderInts, orderFloats } = batch;
  const flags = orderInts[at + FLAGS]!;
  return {
    account: state.accounts.addresses[orderInts[at + ACCOUNT]!]!,
    signer: batch.signers[index] as Address,
    market: orderInts[at + MARKET]!,
    side: SIDES[flags & FLAG_SIDE]!,
    timeInForce: TIMES_IN_FORCE[timeInForceOf(flags)]!,
    postOnly: (flags & FLAG_POST_ONLY) !== 0,
    sizeLots: orderFloats[floatAt + SIZE]! as Lots,
    priceTicks: orderInts[at + PRICE]! as PriceTicks,
    lane: orderInts[at + LANE]!,
    orderSequence: orderFloats[floatAt + ORDER_SEQUENCE]!,
    expiry: orderFloats[floatAt + EXPIRY]! as TimestampSeconds,
    maxFeePpm: orderInts[at + MAX_FEE_PPM]! as Ppm,
    digest: batch.digests[index] as Hash,
    placedAt: orderFloats[floatAt + PLACED_AT]! as JournalSequence,
  };
}

type BatchSettled = Extract<ChainFact, { kind: 'batchSettled' }>;

/**
 * The vault has settled the oldest batch in flight: its trades become settled or, where skipped, void; its withdrawals
 * leave or come back. @throws Error when the event does not fit the engine's batches: ledger and vault have parted.
 */
export function finishBatch(state: EngineState, settled: BatchSettled, eventSequence: number): void {
  const batch = state.batches[0];
  if (batch?.batchId !== settled.batchId) {
    throw new Error(
      `the vault settled batch ${settled.batchId}, the oldest in flight here is ${batch?.batchId ?? 'none'}`,
    );
  }
  const tradeCount = tradeCountOf(batch);
  const reasons = new Map<number, SkipReason>();
  for (const { trade, reason } of settled.skips) {
    if (!(trade < tradeCount))
      throw new Error(`batch ${batch.batchId} has ${tradeCount} trades, the vault skipped number ${trade}`);
    reasons.set(trade, SKIP_REASONS[reason as SkipReasonCode] ?? 'invalid_order');
  }
  state.batches.shift();
  const settledTrades: number[] = [];
  const voidedTrades: { tradeId: number; reason: SkipReason }[] = [];
  const accountOf = (order: number): number => batch.orderInts[(order << INT_SHIFT) + ACCOUNT]!;
  for (let index = 0; index < tradeCount; index++) {
    const trade = postingsOf(state, batch.tradeInts, batch.tradeFloats, index, accountOf);
    const tradeId = batch.tradeFloats[(index << TRADE_FLOAT_SHIFT) + TRADE_ID]!;
    const reason = reasons.size === 0 ? undefined : reasons.get(index);
    if (reason === undefined) {
      settleTrade(state, trade);
      settledTrades.push(tradeId);
    } else {
      voidTrade(state, trade);
      voidedTrades.push({ tradeId, reason });
    }
  }
  const outcomes = new Map(settled.withdrawals.map((outcome) => [outcome.index, outcome]));
  for (const [index, withdrawal] of batch.withdrawals.entries()) {
    const outcome = outcomes.get(index);
    if (outcome?.state === 'failed') failWithdrawal(state, withdrawal, outcome.reason);
    else executeWithdrawal(state, withdrawal);
  }
  state.sink.push({
    kind: 'batchFinal',
    batchId: batch.batchId,
    contentHash: settled.contentHash,
    settledTrades,
    voidedTrades,
    eventSequence: eventSequence as ChainEventSequence,
  });
  remedyDeficits(state);
  refreshUnsettled(state);
}

/** Recomputes the time of the oldest trade that is not final. */
export function refreshUnsettled(state: EngineState): void {
  const oldest = state.batches.find((batch) => tradeCountOf(batch) > 0);
  state.unsettledSinceMs = oldest === undefined ? state.trades.oldestMs() : oldest.tradeFloats[TRADE_TIME_MS]!;
}
