/** GET /transactions/:hash/fills: the trades that a transaction on chain settled. */
import { Type } from 'typebox';
import type { Hash } from '../../domain/units.ts';
import { findBatchIdOfTransaction } from '../../storage/queries/batches.ts';
import { listTransactionTrades } from '../../storage/queries/trades.ts';
import type { Route } from '../context.ts';
import { BatchFillView } from '../market-schemas.ts';
import { notFound } from '../problem.ts';
import { HashText, object } from '../schemas.ts';
import { batchFillView } from '../views.ts';

export const getTransactionFills: Route = (app, { pool, catalogue }) => {
  app.get(
    '/transactions/:hash/fills',
    {
      schema: {
        tags: ['audit'],
        summary: 'The trades that a transaction settled',
        params: object({ hash: HashText }),
        response: { 200: object({ batchId: Type.Integer(), data: Type.Array(BatchFillView) }) },
      },
    },
    async (request) => {
      const hash = request.params.hash.toLowerCase() as Hash;
      const batchId = await findBatchIdOfTransaction(pool, hash);
      if (batchId === undefined) throw notFound(`The transaction ${hash} carried no batch of this vault.`);
      const trades = await listTransactionTrades(pool, hash);
      return {
        batchId,
        data: await Promise.all(
          trades.map(async (trade) => batchFillView(trade, await catalogue.marketAt(trade.market))),
        ),
      };
    },
  );
};
