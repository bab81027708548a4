/** GET /reconciliation: the last comparison of ledger and vault, and whether withdrawals are halted. */
import { Type } from 'typebox';
import { reconciliationStatus } from '../../storage/queries/reconciliation.ts';
import type { Route } from '../context.ts';
import { IncidentView, incidentView, ReconciliationView, reconciliationView } from '../reconciliation-views.ts';
import { nullable, object } from '../schemas.ts';

const Status = object({
  comparisons: Type.Integer({ description: 'Comparisons ever made.' }),
  withdrawalsHalted: nullable(Type.String({ description: 'Why.' })),
  latest: nullable(ReconciliationView),
  openIncidents: Type.Array(IncidentView),
});

export const getReconciliation: Route = (app, { pool, catalogue }) => {
  app.get(
    '/reconciliation',
    { schema: { tags: ['audit'], summary: 'Do ledger and vault agree?', response: { 200: Status } } },
    async () => {
      const [status, assets] = await Promise.all([reconciliationStatus(pool), catalogue.assets()]);
      return {
        comparisons: status.total,
        withdrawalsHalted: status.withdrawalsHalted ?? null,
        latest: status.latest === undefined ? null : reconciliationView(status.latest, assets),
        openIncidents: status.openIncidents.map(incidentView),
      };
    },
  );
};
