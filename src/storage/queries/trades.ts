/**
 * Trades and fills with their whole life cycle: matched → batched → submitted → included → final, or voided with a reason.
 *
 * The projector knows matched, batched, final and voided from the journal; submitted comes from the settlement service and
 * included from the chain as followed, so that a batch landed by someone else's transaction shows too. A settlement seen final
 * before the engine has applied it still reads `included`: only the engine tells which trades were voided.
 */
import type { SkipReason } from '../../domain/batches.ts';
import type { Side } from '../../domain/orders.ts';
import type { Address, Hash, JournalSequence, Lots, PriceTicks, Quanta, TimestampMs } from '../../domain/units.ts';
import {
  bytesOf,
  hexOf,
  integer,
  optionalHex,
  optionalInteger,
  type Page,
  type PageRequest,
  pageOf,
  positionBefore,
  type Queryable,
  type SqlInteger,
} from './rows.ts';

export type FillState = 'matched' | 'batched' | 'submitted' | 'included' | 'final' | 'voided';

/** Where a trade stands on its way to the chain. */
export type SettlementProgress = {
  readonly state: FillState;
  /** Undefined unless voided. */
  readonly voidReason: SkipReason | undefined;
  readonly batchId: number | undefined;
  /** Position within the batch. */
  readonly batchIndex: number | undefined;
  readonly txHash: Hash | undefined;
  readonly blockNumber: number | undefined;
  readonly blockHash: Hash | undefined;
};

export type TradeRow = SettlementProgress & {
  readonly tradeId: number;
  readonly market: number;
  readonly priceTicks: PriceTicks;
  readonly sizeLots: Lots;
  /** Quote quanta, without fees. */
  readonly notional: Quanta;
  readonly takerSide: Side;
  readonly takerAccount: Address;
  readonly takerDigest: Hash;
  /** Quote quanta. */
  readonly takerFee: Quanta;
  readonly makerAccount: Address;
  readonly makerDigest: Hash;
  readonly makerFee: Quanta;
  readonly journalSequence: JournalSequence;
  readonly createdAtMs: TimestampMs;
};

/** One order's side of a trade. */
export type FillRow = SettlementProgress & {
  readonly tradeId: number;
  readonly market: number;
  readonly account: Address;
  readonly digest: Hash;
  readonly side: Side;
  readonly role: 'maker' | 'taker';
  readonly priceTicks: PriceTicks;
  readonly sizeLots: Lots;
  readonly notional: Quanta;
  readonly fee: Quanta;
  readonly journalSequence: JournalSequence;
  readonly createdAtMs: TimestampMs;
};

export type FillFilter = {
  readonly account: Address;
  readonly market?: number | undefined;
  /** Only the fills of this order. */
  readonly digest?: Hash | undefined;
  readonly fromMs?: TimestampMs | undefined;
  readonly toMs?: TimestampMs | undefined;
};

/** The account's fills, newest first. */
export async function listFills(db: Queryable, filter: FillFilter, page: PageRequest): Promise<Page<FillRow>> {
  const { rows } = await db.query<TradeSql>(
    `WITH mine AS (
       (SELECT trade_id FROM trades WHERE taker_account = $1 AND trade_id < $2 AND ${FILL_CONDITIONS}
          AND ($4::bytea IS NULL OR taker_digest = $4) ORDER BY trade_id DESC LIMIT $7)
       UNION
       (SELECT trade_id FROM trades WHERE maker_account = $1 AND trade_id < $2 AND ${FILL_CONDITIONS}
          AND ($4::bytea IS NULL OR maker_digest = $4) ORDER BY trade_id DESC LIMIT $7)
     )
     ${SELECT_TRADES} WHERE t.trade_id IN (SELECT trade_id FROM mine) ORDER BY t.trade_id DESC LIMIT $7`,
    [
      bytesOf(filter.account),
      positionBefore(page),
      filter.market ?? null,
      filter.digest === undefined ? null : bytesOf(filter.digest),
      filter.fromMs ?? null,
      filter.toMs ?? null,
      page.limit + 1,
    ],
  );
  const fills = rows.map((row) => fillOf(tradeOf(row), filter.account));
  return pageOf(fills, page, (fill) => fill.tradeId);
}

/** The market's trades, newest first. */
export async function listTrades(db: Queryable, market: number, page: PageRequest): Promise<Page<TradeRow>> {
  const { rows } = await db.query<TradeSql>(
    `${SELECT_TRADES} WHERE t.market = $1 AND t.trade_id < $2 ORDER BY t.trade_id DESC LIMIT $3`,
    [market, positionBefore(page), page.limit + 1],
  );
  return pageOf(rows.map(tradeOf), page, (trade) => trade.tradeId);
}

/** The trades of one batch in the order in which the contract executes them. */
export async function listBatchTrades(db: Queryable, batchId: number): Promise<readonly TradeRow[]> {
  const { rows } = await db.query<TradeSql>(`${SELECT_TRADES} WHERE t.batch_id = $1 ORDER BY t.batch_index`, [batchId]);
  return rows.map(tradeOf);
}

/** The trades that a transaction settled, or is to settle; empty when it is not one of the exchange's batches. */
export async function listTransactionTrades(db: Queryable, txHash: Hash): Promise<readonly TradeRow[]> {
  const { rows } = await db.query<TradeSql>(
    `${SELECT_TRADES}
     WHERE t.batch_id IN (
       SELECT (payload ->> 'batchId')::bigint FROM chain_events WHERE tx_hash = $1 AND payload ->> 'kind' = 'batchSettled'
       UNION SELECT batch_id FROM settlements WHERE tx_hash = $1
     )
     ORDER BY t.batch_id, t.batch_index`,
    [bytesOf(txHash)],
  );
  return rows.map(tradeOf);
}

/** The account's side of a trade. The account must be one of the two. */
export function fillOf(trade: TradeRow, account: Address): FillRow {
  const isTaker = trade.takerAccount === account;
  const makerSide = trade.takerSide === 'buy' ? 'sell' : 'buy';
  return {
    tradeId: trade.tradeId,
    market: trade.market,
    account,
    digest: isTaker ? trade.takerDigest : trade.makerDigest,
    side: isTaker ? trade.takerSide : makerSide,
    role: isTaker ? 'taker' : 'maker',
    priceTicks: trade.priceTicks,
    sizeLots: trade.sizeLots,
    notional: trade.notional,
    fee: isTaker ? trade.takerFee : trade.makerFee,
    journalSequence: trade.journalSequence,
    createdAtMs: trade.createdAtMs,
    state: trade.state,
    voidReason: trade.voidReason,
    batchId: trade.batchId,
    batchIndex: trade.batchIndex,
    txHash: trade.txHash,
    blockNumber: trade.blockNumber,
    blockHash: trade.blockHash,
  };
}

const FILL_CONDITIONS = `($3::integer IS NULL OR market = $3)
          AND ($5::bigint IS NULL OR created_at_ms >= $5) AND ($6::bigint IS NULL OR created_at_ms < $6)`;

const SELECT_TRADES = `SELECT t.*,
       CASE WHEN t.state <> 'batched' THEN t.state
            WHEN e.block_number IS NOT NULL OR s.state IN ('included', 'final') THEN 'included'
            WHEN s.state = 'submitted' THEN 'submitted'
            ELSE 'batched' END AS progress,
       coalesce(e.tx_hash, s.tx_hash) AS tx_hash,
       coalesce(e.block_number, s.block_number) AS block_number,
       coalesce(b.hash, s.block_hash) AS block_hash
     FROM trades t
     LEFT JOIN settlements s ON s.batch_id = t.batch_id
     LEFT JOIN chain_events e ON e.payload ->> 'kind' = 'batchSettled' AND (e.payload ->> 'batchId')::bigint = t.batch_id
     LEFT JOIN chain_blocks b ON b.number = e.block_number`;

type TradeSql = {
  trade_id: SqlInteger;
  market: number;
  price_ticks: SqlInteger;
  size_lots: SqlInteger;
  notional: SqlInteger;
  taker_side: Side;
  taker_account: Buffer;
  taker_digest: Buffer;
  taker_fee: SqlInteger;
  maker_account: Buffer;
  maker_digest: Buffer;
  maker_fee: SqlInteger;
  journal_sequence: SqlInteger;
  created_at_ms: SqlInteger;
  progress: FillState;
  void_reason: SkipReason | null;
  batch_id: SqlInteger | null;
  batch_index: number | null;
  tx_hash: Buffer | null;
  block_number: SqlInteger | null;
  block_hash: Buffer | null;
};

function tradeOf(row: TradeSql): TradeRow {
  return {
    tradeId: integer(row.trade_id),
    market: row.market,
    priceTicks: integer<PriceTicks>(row.price_ticks),
    sizeLots: integer<Lots>(row.size_lots),
    notional: integer<Quanta>(row.notional),
    takerSide: row.taker_side,
    takerAccount: hexOf(row.taker_account),
    takerDigest: hexOf(row.taker_digest),
    takerFee: integer<Quanta>(row.taker_fee),
    makerAccount: hexOf(row.maker_account),
    makerDigest: hexOf(row.maker_digest),
    makerFee: integer<Quanta>(row.maker_fee),
    journalSequence: integer<JournalSequence>(row.journal_sequence),
    createdAtMs: integer<TimestampMs>(row.created_at_ms),
    state: row.progress,
    voidReason: row.void_reason ?? undefined,
    batchId: optionalInteger(row.batch_id),
    batchIndex: row.batch_index ?? undefined,
    txHash: optionalHex(row.tx_hash),
    blockNumber: optionalInteger(row.block_number),
    blockHash: optionalHex(row.block_hash),
  };
}
