/** GET /batches: newest first, from sealed to final. */
import { listBatches } from '../../storage/queries/batches.ts';
import type { Route } from '../context.ts';
import { BatchView } from '../market-schemas.ts';
import { pageRequest, toPage } from '../paging.ts';
import { CursorQuery, LimitQuery, object, page } from '../schemas.ts';
import { batchView } from '../views.ts';

export const getBatches: Route = (app, { pool }) => {
  app.get(
    '/batches',
    {
      schema: {
        tags: ['audit'],
        summary: 'Settlement batches, newest first',
        querystring: object({ limit: LimitQuery, cursor: CursorQuery }),
        response: { 200: page(BatchView) },
      },
    },
    async (request) => toPage(await listBatches(pool, pageRequest(request.query)), batchView),
  );
};
