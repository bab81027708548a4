/** GET /incidents: what went wrong and how it was resolved, newest first. */
import { listIncidents } from '../../storage/queries/reconciliation.ts';
import type { Route } from '../context.ts';
import { pageRequest, toPage } from '../paging.ts';
import { IncidentView, incidentView } from '../reconciliation-views.ts';
import { CursorQuery, LimitQuery, object, page } from '../schemas.ts';

export const getIncidents: Route = (app, { pool }) => {
  app.get(
    '/incidents',
    {
      schema: {
        tags: ['audit'],
        summary: 'Incidents, newest first',
        querystring: object({ limit: LimitQuery, cursor: CursorQuery }),
        response: { 200: page(IncidentView) },
      },
    },
    async (request) => toPage(await listIncidents(pool, pageRequest(request.query)), incidentView),
  );
};
