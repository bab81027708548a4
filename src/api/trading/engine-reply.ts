/** What the engine answered, as a result or as the problem that the caller is told. */

import type { EngineEvent } from '../../domain/events.ts';
import type { NewOrder } from '../../domain/orders.ts';
import type { CancelReason, RejectReason, WithdrawalRejectReason } from '../../domain/reasons.ts';
import { REJECT_REASONS, WITHDRAWAL_REJECT_REASONS } from '../../domain/reasons.ts';
import type { Address, Hash, JournalSequence, Lots, Quanta, TimestampMs } from '../../domain/units.ts';
import { notional } from '../../domain/units.ts';
import type { CommandReply } from '../../messaging/port.ts';
import type { OrderRow } from '../../storage/queries/orders.ts';
import type { FillRow } from '../../storage/queries/trades.ts';
import type { ListedMarket } from '../market-catalogue.ts';
import { ProblemError } from '../problem.ts';

export type Committed = Extract<CommandReply, { kind: 'committed' }>;

/** @throws ProblemError OVERLOADED (certainly not executed) or STATUS_UNKNOWN (perhaps executed) */
export function committedOf(reply: CommandReply, lookUp: string): Committed {
  switch (reply.kind) {
    case 'committed':
      return reply;
    case 'overloaded':
      throw new ProblemError(
        'OVERLOADED',
        'The engine is busy; nothing was executed. Send the same request again later.',
        {
          retryAfterMs: reply.retryAfterMs,
          extensions: { retryAfterMs: reply.retryAfterMs },
        },
      );
    case 'unknown':
      throw new ProblemError(
        'STATUS_UNKNOWN',
        `The engine did not answer in time; it may have executed this. ${lookUp}`,
        {
          retryAfterMs: 1_000,
        },
      );
  }
}

/** The engine knows the nonce already, and the projections, which would say from what, are behind. */
export function notProjected(lookUp: string): ProblemError {
  return new ProblemError(
    'STATUS_UNKNOWN',
    `It may have been accepted before; what is shown is behind just now. Sign nothing anew yet. ${lookUp}`,
    { retryAfterMs: 1_000 },
  );
}

export type Placement =
  | { readonly kind: 'accepted'; readonly order: OrderRow; readonly fills: readonly FillRow[] }
  | { readonly kind: 'rejected'; readonly reason: RejectReason };

/** What became of an order within the command that placed it. Later changes are in the projections. */
export function placementOf(order: NewOrder, reply: Committed, listed: ListedMarket): Placement {
  let rejected: RejectReason | undefined;
  let accepted = false;
  let ended: { status: OrderRow['status']; reason: CancelReason | undefined } | undefined;
  let remaining = order.sizeLots as number;
  const fills: FillRow[] = [];
  for (const event of reply.events) {
    if (event.kind === 'cancelRejected' && event.account === order.account) rejected = event.reason;
    if (event.kind === 'trade') {
      if (event.taker.digest !== order.digest) continue;
      fills.push(takerFill(event, reply, listed));
      remaining -= event.size;
    }
    if (!('digest' in event) || event.digest !== order.digest) {
      if (event.kind === 'orderAccepted' && event.order.digest === order.digest) accepted = true;
      continue;
    }
    if (event.kind === 'orderRejected') rejected = event.reason;
    if (event.kind === 'orderReduced') remaining = event.remaining;
    if (event.kind === 'orderDone') ended = { status: event.status, reason: event.reason };
  }
  if (!accepted) return { kind: 'rejected', reason: rejected ?? 'order_not_found' };
  const filled = fills.reduce((sum, fill) => sum + fill.sizeLots, 0);
  return {
    kind: 'accepted',
    fills,
    order: {
      ...order,
      status: ended?.status ?? (filled > 0 ? 'partially_filled' : 'open'),
      reason: ended?.reason,
      filledLots: filled as Lots,
      remainingLots: (ended === undefined ? remaining : 0) as Lots,
      filledNotional: fills.reduce((sum, fill) => sum + fill.notional, 0) as Quanta,
      feesPaid: fills.reduce((sum, fill) => sum + fill.fee, 0) as Quanta,
      journalSequence: reply.sequence,
      createdAtMs: reply.timestampMs,
      updatedAtMs: reply.timestampMs,
    },
  };
}

function takerFill(
  trade: Extract<EngineEvent, { kind: 'trade' }>,
  at: { readonly sequence: JournalSequence; readonly timestampMs: TimestampMs },
  listed: ListedMarket,
): FillRow {
  return {
    tradeId: trade.tradeId,
    market: trade.market,
    account: trade.taker.account,
    digest: trade.taker.digest,
    side: trade.takerSide,
    role: 'taker',
    priceTicks: trade.price,
    sizeLots: trade.size,
    notional: notional(trade.price, trade.size, listed.market),
    fee: trade.taker.fee,
    journalSequence: at.sequence,
    createdAtMs: at.timestampMs,
    state: 'matched',
    voidReason: undefined,
    batchId: undefined,
    batchIndex: undefined,
    txHash: undefined,
    blockNumber: undefined,
    blockHash: undefined,
  };
}

/** The account's orders that a cancelling command ended, by digest. What fell due at the same moment is not among them. */
export function cancelledDigests(reply: Committed, account: Address): Hash[] {
  return reply.events.flatMap((event) =>
    event.kind === 'orderDone' && event.account === account && event.reason === 'requested' ? [event.digest] : [],
  );
}

export function orderRejected(
  reason: RejectReason,
  digest: Hash,
  extensions: Readonly<Record<string, unknown>> = {},
): ProblemError {
  const message = REJECT_REASONS[reason];
  return new ProblemError('ORDER_REJECTED', message, {
    errors: [{ pointer: REASON_FIELDS[reason] ?? '', code: reason, message }],
    extensions: { reason, orderId: digest, ...extensions },
  });
}

export function withdrawalRejected(reason: WithdrawalRejectReason, digest: Hash): ProblemError {
  const message = WITHDRAWAL_REJECT_REASONS[reason];
  return new ProblemError('WITHDRAWAL_REJECTED', message, {
    errors: [{ pointer: '', code: reason, message }],
    extensions: { reason, withdrawalId: digest },
  });
}

/** The field that a reason is about, where it is about one. */
export const REASON_FIELDS: Partial<Record<RejectReason, string>> = {
  unknown_market: '/order/baseToken',
  size_zero: '/order/baseAmount',
  size_too_large: '/order/baseAmount',
  price_zero: '/order/quoteAmount',
  price_too_high: '/order/quoteAmount',
  below_min_notional: '/order/quoteAmount',
  outside_price_band: '/order/quoteAmount',
  notional_too_large: '/order/quoteAmount',
  expired: '/order/expiry',
  expiry_too_far: '/order/expiry',
  max_fee_too_low: '/order/maxFeePpm',
  max_fee_too_high: '/order/maxFeePpm',
  sequence_too_old: '/order/nonce',
  sequence_in_future: '/order/nonce',
  lane_busy: '/order/nonce',
  nonce_reused: '/order/nonce',
  nonce_superseded: '/order/nonce',
  session_key_not_valid: '/signature',
  post_only_not_resting: '/order/postOnly',
  bad_stop: '/stop/triggerPrice',
  stop_would_trigger: '/stop/triggerPrice',
};
