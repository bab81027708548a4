/** GET /fees: trading fees per market in parts per million of the notional, fee and smallest withdrawal per asset. */
import { Type } from 'typebox';
import { formatAmount } from '../../domain/markets.ts';
import { FEE_PPM_MAX } from '../../domain/units.ts';
import { listWithdrawalTerms } from '../../storage/queries/listings.ts';
import type { Route } from '../context.ts';
import { FeeTierView } from '../market-schemas.ts';
import { DecimalOut, object } from '../schemas.ts';
import { feeTierView } from '../views.ts';

const Fees = object({
  hardCapPpm: Type.Integer({
    description: 'No signed maximum fee may be above this; the contract holds the same cap.',
  }),
  trading: Type.Array(
    object({
      market: Type.String(),
      makerFeePpm: Type.Integer(),
      takerFeePpm: Type.Integer(),
      tiers: Type.Array(FeeTierView, { description: 'By rising volume; the last one that is reached applies.' }),
    }),
  ),
  withdrawals: Type.Array(object({ asset: Type.String(), fee: DecimalOut, minimum: DecimalOut })),
});

export const getFees: Route = (app, { catalogue, pool }) => {
  app.get('/fees', { schema: { tags: ['market data'], summary: 'All fees', response: { 200: Fees } } }, async () => {
    const [assets, markets, terms] = await Promise.all([
      catalogue.assets(),
      catalogue.markets(),
      listWithdrawalTerms(pool),
    ]);
    return {
      hardCapPpm: FEE_PPM_MAX,
      trading: markets.map(({ market, parameters, quote }) => ({
        market: market.symbol,
        makerFeePpm: parameters.makerFeePpm,
        takerFeePpm: parameters.takerFeePpm,
        tiers: parameters.feeTiers.map((tier) => feeTierView(tier, quote)),
      })),
      withdrawals: assets.map((asset) => ({
        asset: asset.symbol,
        fee: formatAmount(terms.get(asset.index)?.fee ?? 0, asset),
        minimum: formatAmount(terms.get(asset.index)?.minimum ?? 0, asset),
      })),
    };
  });
};
