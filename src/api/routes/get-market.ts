/** GET /markets/:market */
import type { Route } from '../context.ts';
import { MarketView } from '../market-schemas.ts';
import { MarketSymbol, object } from '../schemas.ts';
import { marketView } from '../views.ts';

export const getMarket: Route = (app, { catalogue }) => {
  app.get(
    '/markets/:market',
    {
      schema: {
        tags: ['market data'],
        summary: 'One market and its rules',
        params: object({ market: MarketSymbol }),
        response: { 200: MarketView },
      },
    },
    async (request) => marketView(await catalogue.market(request.params.market)),
  );
};
