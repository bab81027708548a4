/** GET /markets: every market with its rules; never assume them. */
import type { Route } from '../context.ts';
import { MarketView } from '../market-schemas.ts';
import { whole } from '../paging.ts';
import { page } from '../schemas.ts';
import { marketView } from '../views.ts';

export const getMarkets: Route = (app, { catalogue }) => {
  app.get(
    '/markets',
    { schema: { tags: ['market data'], summary: 'Markets and their rules', response: { 200: page(MarketView) } } },
    async () => whole((await catalogue.markets()).map(marketView)),
  );
};
