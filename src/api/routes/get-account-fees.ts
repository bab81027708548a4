/** GET /account/fees: the account's settled volume, and what it pays in each market because of it. */
import { Type } from 'typebox';
import { formatAmount, tierAt } from '../../domain/markets.ts';
import type { Quanta } from '../../domain/units.ts';
import { listVolumes } from '../../storage/queries/listings.ts';
import { toChecksum } from '../addresses.ts';
import type { Route } from '../context.ts';
import { AddressOut, DecimalOut, object } from '../schemas.ts';

const AccountFees = object({
  account: AddressOut,
  markets: Type.Array(
    object({
      market: Type.String(),
      volume: DecimalOut,
      tier: Type.Integer({ description: "0 for the market's own fees, 1 for the first tier, and so on." }),
      makerFeePpm: Type.Integer(),
      takerFeePpm: Type.Integer(),
    }),
    {
      description:
        'Volume: settled as maker and taker over the last 30 complete UTC days, in the quote token, in all markets quoted in it.',
    },
  ),
});

export const getAccountFees: Route = (app, context) => {
  const { pool, catalogue } = context;
  app.get(
    '/account/fees',
    { schema: { tags: ['account'], summary: "The account's fees and volume", response: { 200: AccountFees } } },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      const [markets, volumes] = await Promise.all([catalogue.markets(), listVolumes(pool, account, context.clock())]);
      return {
        account: toChecksum(account),
        markets: markets.map(({ market, parameters, quote }) => {
          const volume = volumes.get(quote.index) ?? (0 as Quanta);
          const { makerFeePpm, takerFeePpm } = tierAt(parameters.feeTiers, volume) ?? parameters;
          return {
            market: market.symbol,
            volume: formatAmount(volume, quote),
            tier: parameters.feeTiers.filter(({ volumeMin }) => volumeMin <= volume).length,
            makerFeePpm,
            takerFeePpm,
          };
        }),
      };
    },
  );
};
