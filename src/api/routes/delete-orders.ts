/** DELETE /orders: cancels every live order, of one market or of all. */
import { Type } from 'typebox';
import type { Route } from '../context.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { MarketSymbol, object } from '../schemas.ts';

export const deleteOrders: Route = (app, context) => {
  app.delete(
    '/orders',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['trading'],
        summary: 'Cancel all orders, or all of one market',
        description: 'With an API key, or the wallet signature over `market:<symbol>` or `all`.',
        querystring: object({ market: Type.Optional(MarketSymbol) }),
        response: { 200: object({ cancelled: Type.Array(Type.String({ description: 'Order id.' })) }) },
      },
    },
    async (request) => {
      const symbol = request.query.market;
      const listed = symbol === undefined ? undefined : await context.catalogue.market(symbol);
      const scope = listed === undefined ? 'all' : `market:${listed.market.symbol}`;
      const { account } = await context.requireCanceller(request, scope);
      return { cancelled: await context.desk.cancelAll(account, listed?.market.index) };
    },
  );
};
