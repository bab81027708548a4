/** GET /withdrawals/:id */
import type { Hash } from '../../domain/units.ts';
import { findWithdrawal } from '../../storage/queries/transfers.ts';
import type { Route } from '../context.ts';
import { WithdrawalView } from '../market-schemas.ts';
import { notFound } from '../problem.ts';
import { HashText, object } from '../schemas.ts';
import { withdrawalView } from '../views.ts';

export const getWithdrawal: Route = (app, context) => {
  const { pool, catalogue, writes } = context;
  app.get(
    '/withdrawals/:id',
    {
      schema: {
        tags: ['account'],
        summary: 'One withdrawal by its id (EIP-712 digest)',
        params: object({ id: HashText }),
        response: { 200: WithdrawalView },
      },
    },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      await writes.settled(account);
      const row = await findWithdrawal(pool, request.params.id.toLowerCase() as Hash);
      if (row === undefined || row.account !== account)
        throw notFound(`The account has no withdrawal ${request.params.id}.`);
      return withdrawalView(row, await catalogue.assetAt(row.asset));
    },
  );
};
