/** GET /orders/:hash/proof: where the journal holds the order, and which batches settle its fills. For auditors; public. */
import { Type } from 'typebox';
import type { Hash } from '../../domain/units.ts';
import { findBatch } from '../../storage/queries/batches.ts';
import { findJournalRow } from '../../storage/queries/journal-rows.ts';
import { findOrder } from '../../storage/queries/orders.ts';
import { listFills } from '../../storage/queries/trades.ts';
import type { Route } from '../context.ts';
import { JournalRowView, journalRowView } from '../journal-view.ts';
import { BatchView } from '../market-schemas.ts';
import { notFound } from '../problem.ts';
import { FillView, HashText, object } from '../schemas.ts';
import { batchView, fillView } from '../views.ts';

const Proof = object({
  orderId: Type.String(),
  journalSequence: Type.Integer({ description: 'Position of the command that placed the order.' }),
  row: JournalRowView,
  fills: Type.Array(FillView),
  batches: Type.Array(BatchView),
});

export const getOrderProof: Route = (app, { pool, catalogue, dependencies }) => {
  app.get(
    '/orders/:id/proof',
    {
      schema: {
        tags: ['audit'],
        summary: 'Journal row, fills and batches of an order',
        params: object({ id: HashText }),
        response: { 200: Proof },
      },
    },
    async (request) => {
      const digest = request.params.id.toLowerCase() as Hash;
      const order = await findOrder(pool, digest);
      if (order === undefined) throw notFound(`There is no order ${digest}.`);
      const [row, fills, listed] = await Promise.all([
        findJournalRow(pool, order.journalSequence, dependencies.journalDelayMs),
        listFills(pool, { account: order.account, digest }, { limit: 1000 }),
        catalogue.marketAt(order.market),
      ]);
      if (row === undefined) throw notFound(`The journal row of order ${digest} is not published yet.`);
      const batchIds = new Set(fills.rows.flatMap((fill) => (fill.batchId === undefined ? [] : [fill.batchId])));
      const batches = await Promise.all([...batchIds].map((batchId) => findBatch(pool, batchId)));
      return {
        orderId: digest,
        journalSequence: order.journalSequence,
        row: journalRowView(row),
        fills: fills.rows.map((fill) => fillView(fill, listed)),
        batches: batches.flatMap((batch) => (batch === undefined ? [] : [batchView(batch)])),
      };
    },
  );
};
