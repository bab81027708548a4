/** GET /reconciliations: every comparison, newest first. */
import { listReconciliations } from '../../storage/queries/reconciliation.ts';
import type { Route } from '../context.ts';
import { pageRequest, toPage } from '../paging.ts';
import { ReconciliationView, reconciliationView } from '../reconciliation-views.ts';
import { CursorQuery, LimitQuery, object, page } from '../schemas.ts';

export const getReconciliations: Route = (app, { pool, catalogue }) => {
  app.get(
    '/reconciliations',
    {
      schema: {
        tags: ['audit'],
        summary: 'Comparisons of ledger and vault, newest first',
        querystring: object({ limit: LimitQuery, cursor: CursorQuery }),
        response: { 200: page(ReconciliationView) },
      },
    },
    async (request) => {
      const assets = await catalogue.assets();
      return toPage(await listReconciliations(pool, pageRequest(request.query)), (row) =>
        reconciliationView(row, assets),
      );
    },
  );
};
