/** GET /withdrawals: newest first. */
import { listWithdrawals } from '../../storage/queries/transfers.ts';
import type { Route } from '../context.ts';
import { WithdrawalView } from '../market-schemas.ts';
import { pageRequest, toPage } from '../paging.ts';
import { CursorQuery, LimitQuery, object, page } from '../schemas.ts';
import { withdrawalView } from '../views.ts';

export const getWithdrawals: Route = (app, context) => {
  const { pool, catalogue, writes } = context;
  app.get(
    '/withdrawals',
    {
      schema: {
        tags: ['account'],
        summary: "The account's withdrawals, newest first",
        querystring: object({ limit: LimitQuery, cursor: CursorQuery }),
        response: { 200: page(WithdrawalView) },
      },
    },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      await writes.settled(account);
      const withdrawals = await listWithdrawals(pool, account, pageRequest(request.query));
      return toPage(withdrawals, async (row) => withdrawalView(row, await catalogue.assetAt(row.asset)));
    },
  );
};
