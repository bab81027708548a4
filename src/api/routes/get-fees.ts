/** GET /fees: trading fees per market in parts per million of the notional, withdrawal fees per asset. */
import { Type } from 'typebox';
import { formatAmount } from '../../domain/markets.ts';
import type { Quanta } from '../../domain/units.ts';
import { FEE_PPM_MAX } from '../../domain/units.ts';
import { findGenesis } from '../../storage/queries/listings.ts';
import type { Route } from '../context.ts';
import { DecimalOut, object } from '../schemas.ts';

const Fees = object({
  hardCapPpm: Type.Integer({
    description: 'No signed maximum fee may be above this; the contract holds the same cap.',
  }),
  trading: Type.Array(object({ market: Type.String(), makerFeePpm: Type.Integer(), takerFeePpm: Type.Integer() })),
  withdrawals: Type.Array(object({ asset: Type.String(), fee: DecimalOut })),
});

export const getFees: Route = (app, { catalogue, pool }) => {
  app.get('/fees', { schema: { tags: ['market data'], summary: 'All fees', response: { 200: Fees } } }, async () => {
    const [assets, markets, genesis] = await Promise.all([catalogue.assets(), catalogue.markets(), findGenesis(pool)]);
    const fees = new Map(genesis?.withdrawalFees.map(({ asset, fee }) => [asset, fee]));
    return {
      hardCapPpm: FEE_PPM_MAX,
      trading: markets.map(({ market, parameters }) => ({
        market: market.symbol,
        makerFeePpm: parameters.makerFeePpm,
        takerFeePpm: parameters.takerFeePpm,
      })),
      withdrawals: assets.map((asset) => ({
        asset: asset.symbol,
        fee: formatAmount(fees.get(asset.index) ?? (0 as Quanta), asset),
      })),
    };
  });
};
