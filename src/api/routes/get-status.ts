/** GET /status: how far journal, projections, chain and settlement have come. */
import { Type } from 'typebox';
import { exchangeProgress } from '../../storage/queries/progress.ts';
import { reconciliationStatus } from '../../storage/queries/reconciliation.ts';
import type { Route } from '../context.ts';
import { nullable, object, TimeMs } from '../schemas.ts';

const Status = object({
  status: Type.Enum(['operational', 'degraded'], {
    description: 'degraded: market data out of step, withdrawals halted, or an incident open.',
  }),
  timeMs: TimeMs,
  journalSequence: Type.Integer({ description: 'Last command in the journal.' }),
  projectedSequence: Type.Integer({ description: 'Last command that reads show.' }),
  chainHeadBlock: nullable(Type.Integer()),
  chainFinalBlock: nullable(Type.Integer()),
  chainEventSequence: Type.Integer({ description: 'Last event of the vault that was seen.' }),
  chainEventApplied: Type.Integer({ description: 'Last event of the vault that the ledger contains.' }),
  batchesSealed: Type.Integer(),
  oldestUnsettledTradeAt: nullable(TimeMs),
  marketDataSynced: Type.Boolean(),
  withdrawalsHalted: nullable(Type.String({ description: 'Why.' })),
  openIncidents: Type.Integer(),
});

export const getStatus: Route = (app, { pool, clock, dependencies }) => {
  app.get(
    '/status',
    { schema: { tags: ['public'], summary: 'How far everything has come', response: { 200: Status } } },
    async () => {
      const [progress, reconciliation] = await Promise.all([exchangeProgress(pool), reconciliationStatus(pool)]);
      const { synced } = dependencies.marketData;
      const healthy =
        synced && reconciliation.withdrawalsHalted === undefined && reconciliation.openIncidents.length === 0;
      return {
        status: healthy ? ('operational' as const) : ('degraded' as const),
        timeMs: clock(),
        journalSequence: progress.journalHead,
        projectedSequence: progress.journalSequence,
        chainHeadBlock: progress.chainHeadBlock ?? null,
        chainFinalBlock: progress.chainFinalBlock ?? null,
        chainEventSequence: progress.chainEventHead,
        chainEventApplied: progress.chainEventSequence,
        batchesSealed: progress.batchesSealed,
        oldestUnsettledTradeAt: progress.oldestUnsettledTradeMs ?? null,
        marketDataSynced: synced,
        withdrawalsHalted: reconciliation.withdrawalsHalted ?? null,
        openIncidents: reconciliation.openIncidents.length,
      };
    },
  );
};
