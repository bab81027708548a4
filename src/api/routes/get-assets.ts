/** GET /assets: listed tokens, the smallest amount accounted for, and what a withdrawal costs. */
import { listWithdrawalTerms } from '../../storage/queries/listings.ts';
import type { Route } from '../context.ts';
import { AssetView } from '../market-schemas.ts';
import { whole } from '../paging.ts';
import { page } from '../schemas.ts';
import { assetView } from '../views.ts';

export const getAssets: Route = (app, { catalogue, pool }) => {
  app.get(
    '/assets',
    { schema: { tags: ['market data'], summary: 'Listed tokens', response: { 200: page(AssetView) } } },
    async () => {
      const [assets, terms] = await Promise.all([catalogue.assets(), listWithdrawalTerms(pool)]);
      return whole(assets.map((asset) => assetView(asset, terms.get(asset.index))));
    },
  );
};
