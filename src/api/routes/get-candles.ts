/** GET /markets/:market/candles: aligned to the Unix epoch; intervals without trades have none. */
import { Type } from 'typebox';
import type { TimestampMs } from '../../domain/units.ts';
import { listCandles } from '../../storage/queries/market-statistics.ts';
import type { Route } from '../context.ts';
import { CandleView } from '../market-schemas.ts';
import { integerQuery, pageRequest, whole } from '../paging.ts';
import { IntegerQuery, LimitQuery, MarketSymbol, object, page } from '../schemas.ts';
import { candleView } from '../views.ts';

const INTERVALS_MS = {
  '1m': 60_000,
  '5m': 300_000,
  '15m': 900_000,
  '1h': 3_600_000,
  '4h': 14_400_000,
  '1d': 86_400_000,
} as const;
type Interval = keyof typeof INTERVALS_MS;

export const getCandles: Route = (app, { catalogue, pool, clock }) => {
  app.get(
    '/markets/:market/candles',
    {
      schema: {
        tags: ['market data'],
        summary: 'Candles, oldest first',
        params: object({ market: MarketSymbol }),
        querystring: object({
          interval: Type.Optional(Type.Enum(Object.keys(INTERVALS_MS) as Interval[])),
          from: Type.Optional(IntegerQuery),
          to: Type.Optional(IntegerQuery),
          limit: LimitQuery,
        }),
        response: { 200: page(CandleView) },
      },
    },
    async (request) => {
      const { query } = request;
      const listed = await catalogue.market(request.params.market);
      const { limit } = pageRequest(query);
      const intervalMs = INTERVALS_MS[query.interval ?? '1m'];
      const toMs = integerQuery(query.to, 'to') ?? clock() + intervalMs;
      const fromMs = integerQuery(query.from, 'from') ?? Math.max(0, toMs - limit * intervalMs);
      const candles = await listCandles(pool, {
        market: listed.market.index,
        intervalMs,
        fromMs: fromMs as TimestampMs,
        toMs: toMs as TimestampMs,
        limit,
      });
      return whole(candles.map((candle) => candleView(candle, listed)));
    },
  );
};
