/**
 * Sealing of batches from pure state, and their end when the vault has settled them.
 *
 * A batch takes the oldest trades that are in no batch, whole runs only (a run is what one taker traded at once), up to the
 * asked number; the first run goes in even if it is larger, and no run exceeds `BATCH_TRADES_MAX`. Withdrawals follow in
 * order of request. Ids are 1, 2, 3 …; a sealed batch stays in flight until the vault's event says that it is settled, and
 * batches end in the order they were sealed.
 *
 * A batch in flight is a range of the trade log: its orders' records are held by its trades until it is final, and an
 * order's terms never change, so that its content (`toSealedBatch`: orders sorted, trades naming them) can be made at any
 * time and is the same every time. Sealing itself is a short scan.
 */
import * as batchTerms from '../domain/batches.ts';
import {
  type BatchOrder,
  type SealedBatch,
  type SkipReason,
  type SkipReasonCode,
  withdrawalsBeside,
} from '../domain/batches.ts';
import type { ChainFact } from '../domain/commands.ts';
import type {
  Address,
  ChainEventSequence,
  JournalSequence,
  Lots,
  Ppm,
  PriceTicks,
  TimestampSeconds,
} from '../domain/units.ts';
import * as orders from './book/order-pool.ts';
import { timeInForceOf } from './book/order-pool.ts';
import * as codes from './codes.ts';
import * as sinkRecords from './event-sink.ts';
import { postingsOf, remedyDeficits, settleTrade, voidTrade } from './reversals.ts';
import type { EngineState, PendingWithdrawal } from './state.ts';
import { FAR_ORDERS, touchTrades } from './touch-ahead.ts';
import * as tradeLog from './trades.ts';
import { executeWithdrawal, failDelivery, failPendingWithdrawals } from './withdrawals.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { BATCH_TRADES_MAX, SKIP_REASONS } = batchTerms;
const {
  ACCOUNT,
  EXPIRY,
  FLAG_POST_ONLY,
  FLAG_SESSION_KEY,
  FLAG_SIDE,
  FLAGS,
  INT_SHIFT,
  LANE,
  LIFE_FLOAT_SHIFT,
  LIFE_INT_SHIFT,
  MARKET,
  MAX_FEE_PPM,
  ORDER_SEQUENCE,
  PLACED_AT,
  PRICE,
  SIZE,
  TERM_FLOAT_SHIFT,
  TERM_INT_SHIFT,
} = orders;
const { SIDES, TIMES_IN_FORCE } = codes;
const { SEALED } = sinkRecords;
const {
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
  TRADE_VOIDED,
} = tradeLog;

export type InFlightBatch = {
  readonly batchId: number;
  readonly epoch: number;
  readonly journalSequence: number;
  /** Ordinals in the trade log: its trades are those of [first, end) that are not voided. */
  readonly first: number;
  readonly end: number;
  readonly tradeCount: number;
  readonly withdrawals: readonly PendingWithdrawal[];
  /** Of the content it was published with; known once another cut has taken its place. */
  readonly contentHash: string | undefined;
};

/** Seals what is due, unless there is nothing or too many batches are in flight. */
export function sealBatch(state: EngineState, tradesMax: number, withdrawalsMax: number): void {
  const { batchesInFlightMax } = state.genesis!.limits;
  if (state.batches.length >= batchesInFlightMax) return;
  failPendingWithdrawals(state, 'expired', (withdrawal) => withdrawal.expiry * 1000 <= state.nowMs);
  const { trades } = state;
  const end = endOfRuns(state, Math.min(tradesMax, BATCH_TRADES_MAX));
  // Voided ones do not count: an engine restored from a snapshot no longer has them.
  let tradeCount = 0;
  for (let at = trades.head; at < end; at++) if (!trades.isVoided(at)) tradeCount++;
  const takeWithdrawals = state.withdrawalsHalted
    ? 0
    : Math.min(withdrawalsMax, withdrawalsBeside(tradeCount), state.withdrawals.length);
  if (tradeCount === 0 && takeWithdrawals === 0) return;
  const withdrawals = state.withdrawals.splice(0, takeWithdrawals);
  state.batches.push({
    batchId: state.nextBatchId++,
    epoch: state.epoch,
    journalSequence: state.sequence,
    first: trades.head + trades.moved,
    end: end + trades.moved,
    tradeCount,
    withdrawals,
    contentHash: undefined,
  });
  trades.head = end;
  trades.count -= tradeCount;
  state.sink.write(SEALED, 0, 0, 0);
}

/** Position after the last trade to take: whole runs, at most `tradesMax` trades, but always the first run. */
function endOfRuns(state: EngineState, tradesMax: number): number {
  const { trades } = state;
  let end = trades.head;
  let taken = 0;
  for (let at = trades.head; at < trades.tail; at++) {
    const flags = trades.ints[(at << TRADE_INT_SHIFT) | TRADE_FLAGS]!;
    if ((flags & TRADE_STARTS_RUN) !== 0 && taken > 0) end = at;
    if ((flags & TRADE_VOIDED) !== 0) continue;
    taken++;
    if (taken > tradesMax && end > trades.head) return end;
    if (taken > BATCH_TRADES_MAX) return end;
  }
  return taken === 0 ? trades.head : trades.tail;
}

/** Ids strictly ascending by account address, lane, sequence. */
function sortOrders(
  { accounts: { addresses }, pool: { ints, termInts, termFloats } }: EngineState,
  ids: number[],
): number[] {
  return ids.sort((a, b) => {
    const aAccount = ints[(a << INT_SHIFT) | ACCOUNT]!;
    const bAccount = ints[(b << INT_SHIFT) | ACCOUNT]!;
    if (aAccount !== bAccount) return addresses[aAccount]! < addresses[bAccount]! ? -1 : 1;
    return (
      termInts[(a << TERM_INT_SHIFT) | LANE]! - termInts[(b << TERM_INT_SHIFT) | LANE]! ||
      termFloats[(a << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]! - termFloats[(b << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]!
    );
  });
}

/** The batch as the rest of the exchange sees it; the same content every time. */
export function toSealedBatch(state: EngineState, batch: InFlightBatch): SealedBatch {
  const { trades } = state;
  const positions: number[] = [];
  const ids = new Set<number>();
  for (let at = batch.first - trades.moved; at < batch.end - trades.moved; at++) {
    if (trades.isVoided(at)) continue;
    positions.push(at);
    ids.add(trades.ints[(at << TRADE_INT_SHIFT) | TAKER]!);
    ids.add(trades.ints[(at << TRADE_INT_SHIFT) | MAKER]!);
  }
  const sorted = sortOrders(state, [...ids]);
  const indexOf = new Map(sorted.map((id, index) => [id, index]));
  return {
    batchId: batch.batchId,
    epoch: batch.epoch,
    journalSequence: batch.journalSequence as JournalSequence,
    orders: sorted.map((id) => toBatchOrder(state, id)),
    trades: positions.map((position) => {
      const at = position << TRADE_INT_SHIFT;
      const floatAt = position << TRADE_FLOAT_SHIFT;
      return {
        tradeId: trades.floats[floatAt | TRADE_ID]!,
        takerOrder: indexOf.get(trades.ints[at | TAKER]!)!,
        makerOrder: indexOf.get(trades.ints[at | MAKER]!)!,
        sizeLots: trades.floats[floatAt | TRADE_SIZE]! as Lots,
        takerFeePpm: trades.ints[at | TAKER_FEE_PPM]! as Ppm,
        makerFeePpm: trades.ints[at | MAKER_FEE_PPM]! as Ppm,
      };
    }),
    withdrawals: batch.withdrawals.map(({ requestedAt, ...terms }) => ({
      ...terms,
      requestedAt: requestedAt as JournalSequence,
    })),
  };
}

function toBatchOrder({ pool, accounts }: EngineState, id: number): BatchOrder {
  const { ints, lifeInts, lifeFloats, termInts, termFloats } = pool;
  const at = id << INT_SHIFT;
  const termFloatAt = id << TERM_FLOAT_SHIFT;
  const flags = ints[at | FLAGS]!;
  const account = accounts.addresses[ints[at | ACCOUNT]!]!;
  return {
    account,
    signer: (flags & FLAG_SESSION_KEY) === 0 ? account : (pool.signers.get(id) as Address),
    market: ints[at | MARKET]!,
    side: SIDES[flags & FLAG_SIDE]!,
    timeInForce: TIMES_IN_FORCE[timeInForceOf(flags)]!,
    postOnly: (flags & FLAG_POST_ONLY) !== 0,
    sizeLots: termFloats[termFloatAt | SIZE]! as Lots,
    priceTicks: ints[at | PRICE]! as PriceTicks,
    lane: termInts[(id << TERM_INT_SHIFT) | LANE]!,
    orderSequence: termFloats[termFloatAt | ORDER_SEQUENCE]!,
    expiry: termFloats[termFloatAt | EXPIRY]! as TimestampSeconds,
    maxFeePpm: lifeInts[(id << LIFE_INT_SHIFT) | MAX_FEE_PPM]! as Ppm,
    digest: pool.digest(id),
    placedAt: lifeFloats[(id << LIFE_FLOAT_SHIFT) | PLACED_AT]! as JournalSequence,
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
  const reasons = new Map<number, SkipReason>();
  for (const { trade, reason } of settled.skips) {
    if (!(trade < batch.tradeCount))
      throw new Error(`batch ${batch.batchId} has ${batch.tradeCount} trades, the vault skipped number ${trade}`);
    reasons.set(trade, SKIP_REASONS[reason as SkipReasonCode] ?? 'invalid_order');
  }
  state.batches.shift();
  const settledTrades: number[] = [];
  const voidedTrades: { tradeId: number; reason: SkipReason }[] = [];
  const { trades, pool } = state;
  const first = batch.first - trades.moved;
  const end = batch.end - trades.moved;
  if (pool.used > FAR_ORDERS) touchTrades(state, first, end);
  for (let at = first, index = 0; at < end; at++) {
    if (trades.isVoided(at)) continue;
    const tradeId = trades.floats[(at << TRADE_FLOAT_SHIFT) | TRADE_ID]!;
    const reason = reasons.size === 0 ? undefined : reasons.get(index);
    index++;
    if (reason === undefined) {
      settleTrade(state, at);
      settledTrades.push(tradeId);
    } else {
      voidTrade(state, postingsOf(state, at));
      voidedTrades.push({ tradeId, reason });
    }
    trades.dropReferences(at, pool);
  }
  trades.start = end;
  const outcomes = new Map(settled.withdrawals.map((outcome) => [outcome.index, outcome]));
  for (const [index, withdrawal] of batch.withdrawals.entries()) {
    const outcome = outcomes.get(index);
    if (outcome === undefined)
      throw new Error(`batch ${batch.batchId}: the vault did not say what became of withdrawal ${index}`);
    if (outcome.state === 'failed') failDelivery(state, withdrawal, outcome.reason);
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
  state.unsettledSinceMs = state.trades.oldestMs(state.trades.start);
}
