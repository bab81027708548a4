/** What a run of commands does to trades and withdrawals, which go through batches. */
import type { SealedBatch } from '../../domain/batches.ts';
import type { EngineEvent } from '../../domain/events.ts';
import type { NewWithdrawal } from '../../domain/orders.ts';
import type { Hash, Quanta } from '../../domain/units.ts';
import { bytea, type Moment } from './sql-values.ts';

type TradeEvent = Extract<EngineEvent, { kind: 'trade' }>;
type TradeState = 'matched' | 'batched' | 'final' | 'voided';

export type TradeInsert = {
  trade_id: number;
  market: number;
  price_ticks: number;
  size_lots: number;
  notional: number;
  taker_side: string;
  taker_account: string;
  taker_digest: string;
  taker_fee: number;
  maker_account: string;
  maker_digest: string;
  maker_fee: number;
  journal_sequence: number;
  created_at_ms: number;
  state: TradeState;
  void_reason: string | null;
  batch_id: number | null;
  batch_index: number | null;
};

/** Null leaves batch and place as they are. */
export type TradeUpdate = Pick<TradeInsert, 'trade_id' | 'state' | 'void_reason' | 'batch_id' | 'batch_index'>;

export type WithdrawalInsert = {
  digest: string;
  account: string;
  asset: number;
  amount: number;
  fee: number;
  recipient: string;
  native: boolean;
  state: 'pending' | 'batched' | 'executed' | 'failed';
  reason: string | null;
  batch_id: number | null;
  journal_sequence: number;
  created_at_ms: number;
  updated_at_ms: number;
};

/** Null leaves the batch as it is. */
export type WithdrawalUpdate = Pick<WithdrawalInsert, 'digest' | 'state' | 'reason' | 'batch_id' | 'updated_at_ms'>;

export class SettlementChanges {
  readonly trades = new Map<number, TradeInsert>();
  readonly tradeUpdates = new Map<number, TradeUpdate>();
  readonly withdrawals = new Map<Hash, WithdrawalInsert>();
  readonly withdrawalUpdates = new Map<Hash, WithdrawalUpdate>();

  traded(trade: TradeEvent, notional: Quanta, moment: Moment): void {
    this.trades.set(trade.tradeId, {
      trade_id: trade.tradeId,
      market: trade.market,
      price_ticks: trade.price,
      size_lots: trade.size,
      notional,
      taker_side: trade.takerSide,
      taker_account: bytea(trade.taker.account),
      taker_digest: bytea(trade.taker.digest),
      taker_fee: trade.taker.fee,
      maker_account: bytea(trade.maker.account),
      maker_digest: bytea(trade.maker.digest),
      maker_fee: trade.maker.fee,
      journal_sequence: moment.sequence,
      created_at_ms: moment.timestampMs,
      state: 'matched',
      void_reason: null,
      batch_id: null,
      batch_index: null,
    });
  }

  sealed(batch: SealedBatch, moment: Moment): void {
    for (const [index, { tradeId }] of batch.trades.entries()) {
      const trade = this.tradeOf(tradeId);
      trade.state = 'batched';
      trade.batch_id = batch.batchId;
      trade.batch_index = index;
    }
    for (const { digest } of batch.withdrawals) {
      const withdrawal = this.withdrawalOf(digest, moment);
      withdrawal.state = 'batched';
      withdrawal.batch_id = batch.batchId;
    }
  }

  /** A batch was dropped for an earlier cut: these wait for one again. */
  unsealed(tradeIds: readonly number[], digests: readonly Hash[], moment: Moment): void {
    for (const tradeId of tradeIds) {
      const trade = this.tradeOf(tradeId);
      trade.state = 'matched';
      trade.batch_id = null;
      trade.batch_index = null;
    }
    for (const digest of digests) {
      const withdrawal = this.withdrawalOf(digest, moment);
      withdrawal.state = 'pending';
      withdrawal.batch_id = null;
    }
  }

  settled(tradeId: number): void {
    this.tradeOf(tradeId).state = 'final';
  }

  voided(tradeId: number, reason: string): void {
    const trade = this.tradeOf(tradeId);
    trade.state = 'voided';
    trade.void_reason = reason;
  }

  requested(withdrawal: NewWithdrawal, fee: Quanta, moment: Moment): void {
    this.withdrawals.set(withdrawal.digest, {
      digest: bytea(withdrawal.digest),
      account: bytea(withdrawal.account),
      asset: withdrawal.asset,
      amount: withdrawal.amount,
      fee,
      recipient: bytea(withdrawal.recipient),
      native: withdrawal.native,
      state: 'pending',
      reason: null,
      batch_id: null,
      journal_sequence: moment.sequence,
      created_at_ms: moment.timestampMs,
      updated_at_ms: moment.timestampMs,
    });
  }

  withdrawn(digest: Hash, status: 'executed' | 'failed', reason: string, moment: Moment): void {
    const withdrawal = this.withdrawalOf(digest, moment);
    withdrawal.state = status;
    withdrawal.reason = status === 'failed' ? reason : null;
  }

  private tradeOf(tradeId: number): TradeUpdate {
    const known = this.trades.get(tradeId) ?? this.tradeUpdates.get(tradeId);
    if (known !== undefined) return known;
    const update: TradeUpdate = {
      trade_id: tradeId,
      state: 'matched',
      void_reason: null,
      batch_id: null,
      batch_index: null,
    };
    this.tradeUpdates.set(tradeId, update);
    return update;
  }

  private withdrawalOf(digest: Hash, moment: Moment): WithdrawalUpdate {
    let update: WithdrawalUpdate | undefined = this.withdrawals.get(digest) ?? this.withdrawalUpdates.get(digest);
    if (update === undefined) {
      update = { digest: bytea(digest), state: 'pending', reason: null, batch_id: null, updated_at_ms: 0 };
      this.withdrawalUpdates.set(digest, update);
    }
    update.updated_at_ms = moment.timestampMs;
    return update;
  }
}
