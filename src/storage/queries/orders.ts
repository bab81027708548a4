/** Orders as the projector keeps them: every order that reached the engine, refused ones included. */
import type { OrderStatus, SelfTradePrevention, Side, StopTrigger, TimeInForce } from '../../domain/orders.ts';
import type { CancelReason, RejectReason } from '../../domain/reasons.ts';
import type {
  Address,
  Hash,
  JournalSequence,
  Lots,
  Ppm,
  PriceTicks,
  Quanta,
  TimestampMs,
  TimestampSeconds,
} from '../../domain/units.ts';
import {
  bytesOf,
  hexOf,
  integer,
  type Page,
  type PageRequest,
  pageOf,
  positionBefore,
  type Queryable,
  type SqlInteger,
} from './rows.ts';

export type OrderRow = {
  readonly digest: Hash;
  readonly account: Address;
  readonly signer: Address;
  readonly market: number;
  readonly side: Side;
  readonly sizeLots: Lots;
  readonly priceTicks: PriceTicks;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly lane: number;
  readonly orderSequence: number;
  readonly expiry: TimestampSeconds;
  readonly maxFeePpm: Ppm;
  readonly clientOrderId: string;
  readonly selfTradePrevention: SelfTradePrevention;
  readonly stop: StopTrigger | undefined;
  readonly status: OrderStatus;
  /** Why it was refused, cancelled or expired; undefined otherwise. */
  readonly reason: RejectReason | CancelReason | undefined;
  readonly filledLots: Lots;
  /** Still to be filled; 0 once the order has ended. */
  readonly remainingLots: Lots;
  /** Quote quanta traded so far, without fees; divided by the filled lots it is the average price. */
  readonly filledNotional: Quanta;
  /** Quote quanta of fees so far. */
  readonly feesPaid: Quanta;
  /** Position of the command that placed it. */
  readonly journalSequence: JournalSequence;
  readonly createdAtMs: TimestampMs;
  readonly updatedAtMs: TimestampMs;
};

export type OrderFilter = {
  readonly account: Address;
  readonly market?: number | undefined;
  /** Any of these; undefined means all. */
  readonly statuses?: readonly OrderStatus[] | undefined;
  /** Placed at or after, in milliseconds. */
  readonly fromMs?: TimestampMs | undefined;
  /** Placed before, in milliseconds. */
  readonly toMs?: TimestampMs | undefined;
};

/** Newest first. */
export async function listOrders(db: Queryable, filter: OrderFilter, page: PageRequest): Promise<Page<OrderRow>> {
  const { rows } = await db.query<OrderSql>(
    `SELECT * FROM orders
     WHERE account = $1 AND journal_sequence < $2
       AND ($3::integer IS NULL OR market = $3)
       AND ($4::text[] IS NULL OR status = ANY ($4))
       AND ($5::bigint IS NULL OR created_at_ms >= $5)
       AND ($6::bigint IS NULL OR created_at_ms < $6)
     ORDER BY journal_sequence DESC LIMIT $7`,
    [
      bytesOf(filter.account),
      positionBefore(page),
      filter.market ?? null,
      filter.statuses ?? null,
      filter.fromMs ?? null,
      filter.toMs ?? null,
      page.limit + 1,
    ],
  );
  return pageOf(rows.map(orderOf), page, (order) => order.journalSequence);
}

export async function findOrder(db: Queryable, digest: Hash): Promise<OrderRow | undefined> {
  const { rows } = await db.query<OrderSql>('SELECT * FROM orders WHERE digest = $1', [bytesOf(digest)]);
  return rows[0] === undefined ? undefined : orderOf(rows[0]);
}

/** The order that holds a client order id: the first one accepted with it, else the newest refused one. */
export async function findOrderByClientId(
  db: Queryable,
  account: Address,
  clientOrderId: string,
): Promise<OrderRow | undefined> {
  if (clientOrderId === '') return undefined;
  const { rows } = await db.query<OrderSql>(
    `SELECT * FROM orders WHERE account = $1 AND client_order_id = $2 AND client_order_id <> ''
     ORDER BY (status = 'rejected'), CASE WHEN status = 'rejected' THEN -journal_sequence ELSE journal_sequence END
     LIMIT 1`,
    [bytesOf(account), clientOrderId],
  );
  return rows[0] === undefined ? undefined : orderOf(rows[0]);
}

/**
 * What an idempotent placement must know: accepted orders that have the digest, or the client order id, already.
 * A refused order does not count: the same signed bytes may be sent again.
 */
export async function findPlacement(
  db: Queryable,
  placement: { readonly account: Address; readonly digest: Hash; readonly clientOrderId: string },
): Promise<{ readonly sameDigest: OrderRow | undefined; readonly sameClientOrderId: OrderRow | undefined }> {
  const { rows } = await db.query<OrderSql>(
    `SELECT * FROM orders WHERE digest = $2 AND status <> 'rejected'
     UNION ALL
     (SELECT * FROM orders
      WHERE account = $1 AND client_order_id = $3 AND client_order_id <> '' AND digest <> $2 AND status <> 'rejected'
      ORDER BY journal_sequence LIMIT 1)`,
    [bytesOf(placement.account), bytesOf(placement.digest), placement.clientOrderId],
  );
  const found = rows.map(orderOf);
  const sameDigest = found.find((order) => order.digest === placement.digest);
  const other = found.find((order) => order.digest !== placement.digest);
  const digestHasId = sameDigest !== undefined && sameDigest.clientOrderId === placement.clientOrderId;
  const holder = digestHasId && placement.clientOrderId !== '' ? sameDigest : undefined;
  return { sameDigest, sameClientOrderId: other ?? holder };
}

/** Lanes of the account that hold a live order, ascending. */
export async function liveLanes(db: Queryable, account: Address): Promise<readonly number[]> {
  const { rows } = await db.query<{ lane: number }>(
    `SELECT DISTINCT lane FROM orders WHERE account = $1 AND status IN ('open', 'partially_filled') ORDER BY lane`,
    [bytesOf(account)],
  );
  return rows.map((row) => row.lane);
}

type OrderSql = {
  digest: Buffer;
  account: Buffer;
  signer: Buffer;
  market: number;
  side: Side;
  size_lots: SqlInteger;
  price_ticks: SqlInteger;
  time_in_force: TimeInForce;
  post_only: boolean;
  lane: number;
  order_sequence: SqlInteger;
  expiry: SqlInteger;
  max_fee_ppm: number;
  client_order_id: string;
  self_trade_prevention: SelfTradePrevention;
  stop: StopTrigger | null;
  status: OrderStatus;
  reason: RejectReason | CancelReason | null;
  filled_lots: SqlInteger;
  remaining_lots: SqlInteger;
  filled_notional: SqlInteger;
  fees_paid: SqlInteger;
  journal_sequence: SqlInteger;
  created_at_ms: SqlInteger;
  updated_at_ms: SqlInteger;
};

function orderOf(row: OrderSql): OrderRow {
  return {
    digest: hexOf(row.digest),
    account: hexOf(row.account),
    signer: hexOf(row.signer),
    market: row.market,
    side: row.side,
    sizeLots: integer<Lots>(row.size_lots),
    priceTicks: integer<PriceTicks>(row.price_ticks),
    timeInForce: row.time_in_force,
    postOnly: row.post_only,
    lane: row.lane,
    orderSequence: integer(row.order_sequence),
    expiry: integer<TimestampSeconds>(row.expiry),
    maxFeePpm: row.max_fee_ppm as Ppm,
    clientOrderId: row.client_order_id,
    selfTradePrevention: row.self_trade_prevention,
    stop: row.stop ?? undefined,
    status: row.status,
    reason: row.reason ?? undefined,
    filledLots: integer<Lots>(row.filled_lots),
    remainingLots: integer<Lots>(row.remaining_lots),
    filledNotional: integer<Quanta>(row.filled_notional),
    feesPaid: integer<Quanta>(row.fees_paid),
    journalSequence: integer<JournalSequence>(row.journal_sequence),
    createdAtMs: integer<TimestampMs>(row.created_at_ms),
    updatedAtMs: integer<TimestampMs>(row.updated_at_ms),
  };
}
