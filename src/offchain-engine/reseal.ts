/**
 * Batches that cannot land, cut into smaller ones; and what happens when the old ones land after all.
 *
 * A batch that was published is signed, and its transactions may be anywhere: cutting it anew does not take it back. So the
 * batches that a reseal replaces are kept as an *earlier cut*, each with the hash of the content it was published with. When
 * the vault has settled a batch, its content hash says which cut it is of:
 *
 *     earlier cut      1   2   3   4
 *     earlier cut      1   2   3a  3b  4              resealed from 3 on
 *     present cut      1   2a  2b  3a  3b  4   5      resealed from 2 on, 5 sealed since
 *
 * Batches of one id are told apart by the command that sealed them. A cut whose batch is not the settled one can never land
 * any more, since each batch names its parent, and is dropped. Of those left the newest is the present one. When that is an
 * earlier cut, its later batches are in flight as they were published, and what only the dropped cut had sealed is unsealed again.
 *
 * Invariants:
 * 1. Every content that was ever published for an id in flight is of the present cut, or is named with its hash in an earlier
 *    one: a reseal that does not name what it replaces, batch by batch, changes nothing.
 * 2. The present cut holds every trade and withdrawal of the earlier ones. What any of them has sealed is therefore never voided.
 * 3. Cuts of one parent part at a batch that is smaller in the later cut. So no two of them have equal content under one id.
 */
import type { OperatorCommand } from '../domain/commands.ts';
import type { Hash } from '../domain/units.ts';
import { type InFlightBatch, toSealedBatch } from './batches.ts';
import * as orders from './book/order-pool.ts';
import { timeInForceOf } from './book/order-pool.ts';
import { refreeze, thaw } from './freezing.ts';
import type { EngineState } from './state.ts';
import * as tradeLog from './trades.ts';
import { failPendingWithdrawals } from './withdrawals.ts';

// As constants of this module they are literals in its machine code: see engine.ts.
const { FLAGS, FOK, INT_SHIFT, IOC } = orders;
const { TAKER, TRADE_FLOAT_SHIFT, TRADE_ID, TRADE_INT_SHIFT } = tradeLog;

/** Most earlier cuts that are remembered: enough to halve the largest batch down to a single trade. */
export const EARLIER_CUTS_MAX = 8;

type Reseal = Extract<OperatorCommand, { readonly kind: 'resealBatch' }>;
type CutLimits = Pick<Reseal, 'batchId' | 'tradesMax' | 'withdrawalsMax'>;
type Part = Pick<InFlightBatch, 'first' | 'end' | 'tradeCount' | 'withdrawals'>;

/** Cuts the batch and those after it anew, or does nothing when `refuseReseal` would say why or not all of them are named. */
export function resealBatches(state: EngineState, command: Reseal): void {
  if (refuseReseal(state, command) !== undefined) return;
  const at = indexOf(state, command.batchId);
  if (command.contentHashes.length !== state.batches.length - at) return;
  const frozen = thaw(state);
  const kept = state.batches.slice(0, at);
  const replaced = state.batches.slice(at);
  const named = replaced.map((batch, index) => ({ ...batch, contentHash: command.contentHashes[index] as Hash }));
  state.earlierCuts.push([...kept, ...named]);
  const parts = replaced.flatMap((batch) => cutBatch(state, batch, command));
  const fresh = parts.map((part, index) => ({
    ...part,
    batchId: command.batchId + index,
    epoch: state.epoch,
    journalSequence: state.sequence,
    contentHash: undefined,
  }));
  state.batches.splice(at, replaced.length, ...fresh);
  sayRecut(state, { cause: 'resealed', firstBatchId: command.batchId, reason: command.reason, from: at });
  refreeze(state, frozen, false);
}

/** Why the batch cannot be cut so; undefined when it can. */
export function refuseReseal(state: EngineState, limits: CutLimits): string | undefined {
  const batch = state.batches[indexOf(state, limits.batchId)];
  if (batch === undefined) return `batch ${limits.batchId} is not in flight`;
  if (!(limits.tradesMax >= 1 && limits.withdrawalsMax >= 1))
    return 'a batch must be allowed one trade and one withdrawal';
  if (state.earlierCuts.length >= EARLIER_CUTS_MAX)
    return `batches were cut anew ${EARLIER_CUTS_MAX} times already, and none of those has been settled yet`;
  return cutBatch(state, batch, limits).length > 1
    ? undefined
    : `batch ${limits.batchId} has ${batch.tradeCount} trades and ${batch.withdrawals.length} withdrawals, and cannot be cut so`;
}

/** To be called before the oldest batch in flight is finished: makes it the one that the vault has settled. */
export function takeLandedCut(state: EngineState, batchId: number, contentHash: Hash): void {
  const { batches, earlierCuts } = state;
  const present = batches[0];
  if (earlierCuts.length === 0 || present?.batchId !== batchId) return;
  const landed = earlierCuts.find((cut) => cut[0]?.contentHash === contentHash)?.[0] ?? present;
  const alive = earlierCuts.filter((cut) => cut[0]?.journalSequence === landed.journalSequence);
  if (landed.journalSequence !== present.journalSequence) returnTo(state, alive.pop() ?? []);
  earlierCuts.splice(0, earlierCuts.length, ...alive.map((cut) => cut.slice(1)));
}

/** The earlier cut is the present one again. */
function returnTo(state: EngineState, cut: readonly InFlightBatch[]): void {
  const { batches, trades, withdrawals } = state;
  const sealedWithdrawals = batches.flatMap((batch) => batch.withdrawals);
  const dropped = batches.splice(0, batches.length, ...cut.map((batch) => ({ ...batch, contentHash: undefined })));
  const end = (batches.at(-1)?.end ?? 0) - trades.moved;
  const unsealedTrades: number[] = [];
  for (let at = end; at < trades.head; at++)
    if (!trades.isVoided(at)) unsealedTrades.push(trades.floats[(at << TRADE_FLOAT_SHIFT) | TRADE_ID]!);
  trades.head = end;
  trades.count += unsealedTrades.length;
  const still = batches.reduce((sum, batch) => sum + batch.withdrawals.length, 0);
  const unsealed = sealedWithdrawals.slice(still);
  withdrawals.unshift(...unsealed);
  sayRecut(state, {
    cause: 'earlier_cut_settled',
    firstBatchId: dropped[0]!.batchId,
    reason: '',
    from: 0,
    unsealedTrades,
    unsealedWithdrawals: unsealed.map(({ digest }) => digest as Hash),
  });
  failPendingWithdrawals(state, 'exit_requested', ({ account, asset }) =>
    state.accounts.hasExit(state.accounts.find(account), asset),
  );
}

type Recut = {
  readonly cause: 'resealed' | 'earlier_cut_settled';
  readonly firstBatchId: number;
  readonly reason: string;
  /** Index of the first batch that is another. */
  readonly from: number;
  readonly unsealedTrades?: readonly number[];
  readonly unsealedWithdrawals?: readonly Hash[];
};

/** Tells which batches are in flight now, and brings what counts ids along. */
function sayRecut(state: EngineState, { from, unsealedTrades = [], unsealedWithdrawals = [], ...recut }: Recut): void {
  const lastBatchId = state.batches.at(-1)!.batchId;
  state.nextBatchId = lastBatchId + 1;
  if (state.suspectUntilBatch >= recut.firstBatchId) state.suspectUntilBatch = lastBatchId;
  state.sink.push({ kind: 'batchesRecut', ...recut, lastBatchId, unsealedTrades, unsealedWithdrawals });
  for (const batch of state.batches.slice(from))
    state.sink.push({ kind: 'batchSealed', batch: toSealedBatch(state, batch) });
}

/** Its parts in order, trades before withdrawals; itself alone when it is within the limits or cannot be cut. */
function cutBatch(state: EngineState, batch: InFlightBatch, { tradesMax, withdrawalsMax }: CutLimits): Part[] {
  const { tradeCount, withdrawals } = batch;
  if (tradeCount <= tradesMax && withdrawals.length <= withdrawalsMax) return [batch];
  const parts = tradeCount === 0 ? [] : cutTrades(state, batch, tradesMax);
  const { end } = batch;
  for (let start = 0; start < withdrawals.length; start += withdrawalsMax)
    parts.push({ first: end, end, tradeCount: 0, withdrawals: withdrawals.slice(start, start + withdrawalsMax) });
  return parts;
}

/**
 * Ranges of at most `tradesMax` trades. The trades of one immediate-or-cancel or fill-or-kill taker stay together, however many they are:
 * the vault takes those of a later batch for a second use of the order.
 */
function cutTrades({ trades, pool }: EngineState, batch: InFlightBatch, tradesMax: number): Part[] {
  const parts: Part[] = [];
  let first = batch.first;
  let tradeCount = 0;
  let before = -1;
  let runStart = batch.first;
  let inRun = 0;
  for (let ordinal = batch.first; ordinal < batch.end; ordinal++) {
    const at = ordinal - trades.moved;
    if (trades.isVoided(at)) continue;
    const taker = trades.ints[(at << TRADE_INT_SHIFT) | TAKER]!;
    const timeInForce = timeInForceOf(pool.ints[(taker << INT_SHIFT) | FLAGS]!);
    const isImmediate = timeInForce === IOC || timeInForce === FOK;
    if (taker !== before || !isImmediate) {
      runStart = ordinal;
      inRun = 0;
    }
    before = taker;
    inRun++;
    tradeCount++;
    if (tradeCount > tradesMax && runStart > first && tradeCount > inRun) {
      parts.push({ first, end: runStart, tradeCount: tradeCount - inRun, withdrawals: [] });
      first = runStart;
      tradeCount = inRun;
    }
  }
  parts.push({ first, end: batch.end, tradeCount, withdrawals: [] });
  return parts;
}

/** Ids in flight have no gap. −1 or beyond the end when the batch is not in flight. */
function indexOf({ batches }: EngineState, batchId: number): number {
  const first = batches[0];
  return first === undefined || batchId < first.batchId ? -1 : batchId - first.batchId;
}
