/** GET /batches/:id/fills: its trades in the order of execution, and its withdrawals. */
import { Type } from 'typebox';
import { formatAmount } from '../../domain/markets.ts';
import { findBatch } from '../../storage/queries/batches.ts';
import { listBatchTrades } from '../../storage/queries/trades.ts';
import { listBatchWithdrawals } from '../../storage/queries/transfers.ts';
import { toChecksum } from '../addresses.ts';
import type { Route } from '../context.ts';
import { BatchFillView, BatchWithdrawalView } from '../market-schemas.ts';
import { notFound } from '../problem.ts';
import { IntegerQuery, object } from '../schemas.ts';
import { batchFillView } from '../views.ts';

export const getBatchFills: Route = (app, { pool, catalogue }) => {
  app.get(
    '/batches/:id/fills',
    {
      schema: {
        tags: ['audit'],
        summary: 'Trades and withdrawals of one batch',
        params: object({ id: IntegerQuery }),
        response: { 200: object({ data: Type.Array(BatchFillView), withdrawals: Type.Array(BatchWithdrawalView) }) },
      },
    },
    async (request) => {
      const batchId = Number(request.params.id);
      if ((await findBatch(pool, batchId)) === undefined) throw notFound(`There is no batch ${batchId}.`);
      const [trades, withdrawals] = await Promise.all([
        listBatchTrades(pool, batchId),
        listBatchWithdrawals(pool, batchId),
      ]);
      return {
        data: await Promise.all(
          trades.map(async (trade) => batchFillView(trade, await catalogue.marketAt(trade.market))),
        ),
        withdrawals: await Promise.all(
          withdrawals.map(async (withdrawal) => {
            const asset = await catalogue.assetAt(withdrawal.asset);
            return {
              id: withdrawal.digest,
              account: toChecksum(withdrawal.account),
              asset: asset.symbol,
              amount: formatAmount(withdrawal.amount, asset),
              fee: formatAmount(withdrawal.fee, asset),
              recipient: toChecksum(withdrawal.recipient),
              state: withdrawal.state,
              reason: withdrawal.reason ?? null,
            };
          }),
        ),
      };
    },
  );
};
