/** What a run of commands does to the orders table: rows to insert, and changes to rows that stand there already. */
import type { NewOrder, OrderStatus } from '../../domain/orders.ts';
import type { CancelReason, RejectReason } from '../../domain/reasons.ts';
import type { Hash, Lots, Quanta } from '../../domain/units.ts';
import { bytea, type Moment } from './sql-values.ts';

export type OrderInsert = {
  digest: string;
  account: string;
  signer: string;
  market: number;
  side: string;
  size_lots: number;
  price_ticks: number;
  time_in_force: string;
  post_only: boolean;
  lane: number;
  order_sequence: number;
  expiry: number;
  max_fee_ppm: number;
  client_order_id: string;
  self_trade_prevention: string;
  stop: NewOrder['stop'] | null;
  status: OrderStatus;
  reason: RejectReason | CancelReason | null;
  filled_lots: number;
  remaining_lots: number;
  filled_notional: number;
  fees_paid: number;
  journal_sequence: number;
  created_at_ms: number;
  updated_at_ms: number;
};

export type OrderUpdate = {
  digest: string;
  /** Null: `partially_filled` if anything was filled, else as it was. */
  status: OrderStatus | null;
  reason: RejectReason | CancelReason | null;
  filled: number;
  notional: number;
  fees: number;
  /** The remaining lots as they are; null when only `remaining_less` is known. */
  remaining: number | null;
  remaining_less: number;
  updated_at_ms: number;
};

export class OrderChanges {
  readonly inserts = new Map<Hash, OrderInsert>();
  readonly updates = new Map<Hash, OrderUpdate>();

  accepted(order: NewOrder, moment: Moment): void {
    this.inserts.set(order.digest, insertOf(order, moment, 'open', null));
  }

  /** A refused order leaves a row of its own, unless an accepted one stands under the same digest. */
  rejected(order: NewOrder, reason: RejectReason, moment: Moment): void {
    const standing = this.inserts.get(order.digest);
    if (standing !== undefined && standing.status !== 'rejected') return;
    this.inserts.set(order.digest, insertOf(order, moment, 'rejected', reason));
  }

  filled(
    digest: Hash,
    fill: { readonly size: Lots; readonly notional: Quanta; readonly fee: Quanta },
    moment: Moment,
  ): void {
    const inserted = this.live(digest);
    if (inserted !== undefined) {
      inserted.filled_lots += fill.size;
      inserted.remaining_lots -= fill.size;
      inserted.filled_notional += fill.notional;
      inserted.fees_paid += fill.fee;
      inserted.status = 'partially_filled';
      inserted.updated_at_ms = moment.timestampMs;
      return;
    }
    const update = this.updateOf(digest, moment);
    update.filled += fill.size;
    update.notional += fill.notional;
    update.fees += fill.fee;
    if (update.remaining === null) update.remaining_less += fill.size;
    else update.remaining -= fill.size;
  }

  reduced(digest: Hash, remaining: Lots, moment: Moment): void {
    const inserted = this.live(digest);
    if (inserted !== undefined) {
      inserted.remaining_lots = remaining;
      inserted.updated_at_ms = moment.timestampMs;
      return;
    }
    this.updateOf(digest, moment).remaining = remaining;
  }

  ended(digest: Hash, status: OrderStatus, reason: RejectReason | CancelReason | undefined, moment: Moment): void {
    const inserted = this.live(digest);
    if (inserted !== undefined) {
      inserted.status = status;
      inserted.reason = reason ?? null;
      inserted.remaining_lots = 0;
      inserted.updated_at_ms = moment.timestampMs;
      return;
    }
    const update = this.updateOf(digest, moment);
    update.status = status;
    update.reason = reason ?? null;
    update.remaining = 0;
  }

  /** A refused insert may shadow an order that was accepted earlier: what happens next concerns that one. */
  private live(digest: Hash): OrderInsert | undefined {
    const inserted = this.inserts.get(digest);
    return inserted === undefined || inserted.status === 'rejected' ? undefined : inserted;
  }

  private updateOf(digest: Hash, moment: Moment): OrderUpdate {
    let update = this.updates.get(digest);
    if (update === undefined) {
      update = {
        digest: bytea(digest),
        status: null,
        reason: null,
        filled: 0,
        notional: 0,
        fees: 0,
        remaining: null,
        remaining_less: 0,
        updated_at_ms: 0,
      };
      this.updates.set(digest, update);
    }
    update.updated_at_ms = moment.timestampMs;
    return update;
  }
}

function insertOf(order: NewOrder, moment: Moment, status: OrderStatus, reason: RejectReason | null): OrderInsert {
  return {
    digest: bytea(order.digest),
    account: bytea(order.account),
    signer: bytea(order.signer),
    market: order.market,
    side: order.side,
    size_lots: order.sizeLots,
    price_ticks: order.priceTicks,
    time_in_force: order.timeInForce,
    post_only: order.postOnly,
    lane: order.lane,
    order_sequence: order.orderSequence,
    expiry: order.expiry,
    max_fee_ppm: order.maxFeePpm,
    client_order_id: order.clientOrderId,
    self_trade_prevention: order.selfTradePrevention,
    stop: order.stop ?? null,
    status,
    reason,
    filled_lots: 0,
    remaining_lots: status === 'rejected' ? 0 : order.sizeLots,
    filled_notional: 0,
    fees_paid: 0,
    journal_sequence: moment.sequence,
    created_at_ms: moment.timestampMs,
    updated_at_ms: moment.timestampMs,
  };
}
