/** Candles and 24-hour figures, computed from the trades of a market. Voided trades count: they did happen off chain. */
import type { PriceTicks, TimestampMs } from '../../domain/units.ts';
import { integer, optionalInteger, type Queryable, type SqlInteger } from './rows.ts';

export type CandleRow = {
  /** Start of the interval; intervals are aligned to the Unix epoch. */
  readonly openTimeMs: TimestampMs;
  readonly open: PriceTicks;
  readonly high: PriceTicks;
  readonly low: PriceTicks;
  readonly close: PriceTicks;
  readonly volumeLots: bigint;
  /** Quote quanta. */
  readonly quoteVolume: bigint;
  readonly trades: number;
};

export type CandleRange = {
  readonly market: number;
  readonly intervalMs: number;
  /** Inclusive. */
  readonly fromMs: TimestampMs;
  /** Exclusive. */
  readonly toMs: TimestampMs;
  readonly limit: number;
};

/** The newest `limit` candles of the range, oldest first. Intervals without trades have no candle. */
export async function listCandles(db: Queryable, range: CandleRange): Promise<readonly CandleRow[]> {
  const { rows } = await db.query<CandleSql>(
    `SELECT created_at_ms - created_at_ms % $2::bigint AS open_time_ms,
       (array_agg(price_ticks ORDER BY trade_id))[1] AS open, max(price_ticks) AS high, min(price_ticks) AS low,
       (array_agg(price_ticks ORDER BY trade_id DESC))[1] AS close,
       sum(size_lots)::text AS volume_lots, sum(notional)::text AS quote_volume, count(*) AS trades
     FROM trades WHERE market = $1 AND created_at_ms >= $3 AND created_at_ms < $4
     GROUP BY 1 ORDER BY 1 DESC LIMIT $5`,
    [range.market, range.intervalMs, range.fromMs, range.toMs, range.limit],
  );
  return rows.map(candleOf).reverse();
}

export type TickerRow = {
  readonly market: number;
  /** Last trade ever; undefined before the first. */
  readonly last: PriceTicks | undefined;
  readonly lastTradeId: number | undefined;
  /** First, highest, lowest price of the window; undefined when it had no trade. */
  readonly open: PriceTicks | undefined;
  readonly high: PriceTicks | undefined;
  readonly low: PriceTicks | undefined;
  readonly volumeLots: bigint;
  readonly quoteVolume: bigint;
  readonly trades: number;
};

/** One row per listed market, ascending; figures of the 24 hours before `nowMs`. */
export async function listTickers(db: Queryable, nowMs: TimestampMs): Promise<readonly TickerRow[]> {
  const { rows } = await db.query<TickerSql>(
    `SELECT m.market, last.price_ticks AS last, last.trade_id AS last_trade_id, day.*
     FROM listed_markets m
     LEFT JOIN LATERAL (
       SELECT price_ticks, trade_id FROM trades t WHERE t.market = m.market ORDER BY trade_id DESC LIMIT 1
     ) last ON true
     CROSS JOIN LATERAL (
       SELECT (array_agg(price_ticks ORDER BY trade_id))[1] AS open, max(price_ticks) AS high, min(price_ticks) AS low,
         coalesce(sum(size_lots), 0)::text AS volume_lots, coalesce(sum(notional), 0)::text AS quote_volume,
         count(*) AS trades
       FROM trades t WHERE t.market = m.market AND t.created_at_ms > $1
     ) day
     ORDER BY m.market`,
    [nowMs - DAY_MS],
  );
  return rows.map((row) => ({
    market: row.market,
    last: optionalInteger<PriceTicks>(row.last),
    lastTradeId: optionalInteger(row.last_trade_id),
    open: optionalInteger<PriceTicks>(row.open),
    high: optionalInteger<PriceTicks>(row.high),
    low: optionalInteger<PriceTicks>(row.low),
    volumeLots: BigInt(row.volume_lots),
    quoteVolume: BigInt(row.quote_volume),
    trades: integer(row.trades),
  }));
}

const DAY_MS = 86_400_000;

type CandleSql = {
  open_time_ms: SqlInteger;
  open: SqlInteger;
  high: SqlInteger;
  low: SqlInteger;
  close: SqlInteger;
  volume_lots: string;
  quote_volume: string;
  trades: SqlInteger;
};

type TickerSql = {
  market: number;
  last: SqlInteger | null;
  last_trade_id: SqlInteger | null;
  open: SqlInteger | null;
  high: SqlInteger | null;
  low: SqlInteger | null;
  volume_lots: string;
  quote_volume: string;
  trades: SqlInteger;
};

function candleOf(row: CandleSql): CandleRow {
  return {
    openTimeMs: integer<TimestampMs>(row.open_time_ms),
    open: integer<PriceTicks>(row.open),
    high: integer<PriceTicks>(row.high),
    low: integer<PriceTicks>(row.low),
    close: integer<PriceTicks>(row.close),
    volumeLots: BigInt(row.volume_lots),
    quoteVolume: BigInt(row.quote_volume),
    trades: integer(row.trades),
  };
}
