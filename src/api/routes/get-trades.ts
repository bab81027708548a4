/** GET /markets/:market/trades: newest first, each with how far its settlement is. */
import { listTrades } from '../../storage/queries/trades.ts';
import type { Route } from '../context.ts';
import { TradeView } from '../market-schemas.ts';
import { pageRequest, toPage } from '../paging.ts';
import { CursorQuery, LimitQuery, MarketSymbol, object, page } from '../schemas.ts';
import { tradeView } from '../views.ts';

export const getTrades: Route = (app, { catalogue, pool }) => {
  app.get(
    '/markets/:market/trades',
    {
      schema: {
        tags: ['market data'],
        summary: 'Public trades, newest first',
        params: object({ market: MarketSymbol }),
        querystring: object({ limit: LimitQuery, cursor: CursorQuery }),
        response: { 200: page(TradeView) },
      },
    },
    async (request) => {
      const listed = await catalogue.market(request.params.market);
      const trades = await listTrades(pool, listed.market.index, pageRequest(request.query));
      return toPage(trades, (trade) => tradeView(trade, listed));
    },
  );
};
