/** GET /solvency: what the vault owes and what it holds, per asset, at one block. */
import { Type } from 'typebox';
import { reconciliationStatus } from '../../storage/queries/reconciliation.ts';
import type { Route } from '../context.ts';
import { SolvencyView, solvencyViews } from '../reconciliation-views.ts';
import { nullable, object, TimeMs } from '../schemas.ts';

const Solvency = object({
  solvent: nullable(Type.Boolean({ description: 'Null before the first comparison.' })),
  blockNumber: nullable(Type.Integer()),
  blockHash: nullable(Type.String()),
  checkedAt: nullable(TimeMs),
  assets: Type.Array(SolvencyView),
});

export const getSolvency: Route = (app, { pool, catalogue }) => {
  app.get(
    '/solvency',
    { schema: { tags: ['audit'], summary: 'Owed and held per asset at one block', response: { 200: Solvency } } },
    async () => {
      const [{ latest }, assets] = await Promise.all([reconciliationStatus(pool), catalogue.assets()]);
      if (latest === undefined)
        return { solvent: null, blockNumber: null, blockHash: null, checkedAt: null, assets: [] };
      const views = solvencyViews(latest.solvency, assets);
      return {
        solvent: views.every((view) => view.solvent),
        blockNumber: latest.blockNumber,
        blockHash: latest.blockHash,
        checkedAt: latest.checkedAtMs,
        assets: views,
      };
    },
  );
};
