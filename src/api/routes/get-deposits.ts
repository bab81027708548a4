/** GET /deposits: newest first; pending until their block is final. */
import { listDeposits } from '../../storage/queries/transfers.ts';
import type { Route } from '../context.ts';
import { DepositView } from '../market-schemas.ts';
import { pageRequest, toPage } from '../paging.ts';
import { CursorQuery, LimitQuery, object, page } from '../schemas.ts';
import { depositView } from '../views.ts';

export const getDeposits: Route = (app, context) => {
  const { pool, catalogue } = context;
  app.get(
    '/deposits',
    {
      schema: {
        tags: ['account'],
        summary: "The account's deposits, newest first",
        querystring: object({ limit: LimitQuery, cursor: CursorQuery }),
        response: { 200: page(DepositView) },
      },
    },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      const deposits = await listDeposits(pool, account, pageRequest(request.query));
      return toPage(deposits, async (deposit) => depositView(deposit, await catalogue.assetAt(deposit.asset)));
    },
  );
};
