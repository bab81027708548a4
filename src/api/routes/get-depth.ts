/** GET /markets/:market/depth: the best price levels of both sides. */

import { Type } from 'typebox';
import type { Route } from '../context.ts';
import { depthView } from '../market-data-views.ts';
import { DepthView } from '../market-schemas.ts';
import { integerQuery } from '../paging.ts';
import { validationFailed } from '../problem.ts';
import { IntegerQuery, MarketSymbol, object } from '../schemas.ts';

const LEVELS_MAX = 1_000;

export const getDepth: Route = (app, { catalogue, dependencies }) => {
  app.get(
    '/markets/:market/depth',
    {
      schema: {
        tags: ['market data'],
        summary: 'The order book by price level',
        params: object({ market: MarketSymbol }),
        querystring: object({ levels: Type.Optional(IntegerQuery) }),
        response: { 200: DepthView },
      },
    },
    async (request) => {
      const listed = await catalogue.market(request.params.market);
      const levels = integerQuery(request.query.levels, 'levels') ?? 50;
      if (levels < 1 || levels > LEVELS_MAX) {
        throw validationFailed([
          { pointer: 'query/levels', code: 'out_of_range', message: `Must be 1 to ${LEVELS_MAX}.` },
        ]);
      }
      return depthView(dependencies.marketData, listed, levels);
    },
  );
};
