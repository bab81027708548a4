/** GET /batches/:id: the packed content, the engine's signature and every transaction signed for it. */
import { findBatch } from '../../storage/queries/batches.ts';
import { toChecksum } from '../addresses.ts';
import type { Route } from '../context.ts';
import { BatchDetailView } from '../market-schemas.ts';
import { notFound } from '../problem.ts';
import { IntegerQuery, object } from '../schemas.ts';
import { batchView } from '../views.ts';

export const getBatch: Route = (app, { pool }) => {
  app.get(
    '/batches/:id',
    {
      schema: {
        tags: ['audit'],
        summary: 'One batch in full',
        params: object({ id: IntegerQuery }),
        response: { 200: BatchDetailView },
      },
    },
    async (request) => {
      const batch = await findBatch(pool, Number(request.params.id));
      if (batch === undefined) throw notFound(`There is no batch ${request.params.id}.`);
      return {
        ...batchView(batch),
        content: batch.content,
        transactions: batch.transactions.map((transaction) => ({
          transactionHash: transaction.txHash,
          sender: toChecksum(transaction.sender),
          transactionNonce: transaction.txNonce,
          createdAt: transaction.createdAtMs,
          lastSentAt: transaction.lastSentAtMs ?? null,
          sendCount: transaction.sendCount,
        })),
      };
    },
  );
};
