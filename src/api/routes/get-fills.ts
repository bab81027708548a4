/** GET /fills: the account's side of its trades, newest first, each with how far its settlement is. */
import { Type } from 'typebox';
import type { Hash, TimestampMs } from '../../domain/units.ts';
import { listFills } from '../../storage/queries/trades.ts';
import type { Route } from '../context.ts';
import { integerQuery, pageRequest, toPage } from '../paging.ts';
import { CursorQuery, FillView, HashText, IntegerQuery, LimitQuery, MarketSymbol, object, page } from '../schemas.ts';
import { fillView } from '../views.ts';

export const getFills: Route = (app, context) => {
  const { pool, catalogue, writes } = context;
  app.get(
    '/fills',
    {
      schema: {
        tags: ['account'],
        summary: "The account's fills, newest first",
        querystring: object({
          market: Type.Optional(MarketSymbol),
          orderId: Type.Optional(HashText),
          from: Type.Optional(IntegerQuery),
          to: Type.Optional(IntegerQuery),
          limit: LimitQuery,
          cursor: CursorQuery,
        }),
        response: { 200: page(FillView) },
      },
    },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      const { query } = request;
      const listed = query.market === undefined ? undefined : await catalogue.market(query.market);
      await writes.settled(account);
      const fills = await listFills(
        pool,
        {
          account,
          market: listed?.market.index,
          digest: query.orderId?.toLowerCase() as Hash | undefined,
          fromMs: integerQuery(query.from, 'from') as TimestampMs | undefined,
          toMs: integerQuery(query.to, 'to') as TimestampMs | undefined,
        },
        pageRequest(query),
      );
      return toPage(fills, async (fill) => fillView(fill, await catalogue.marketAt(fill.market)));
    },
  );
};
