/** GET /orders/:id */
import type { Hash } from '../../domain/units.ts';
import { findOrder } from '../../storage/queries/orders.ts';
import type { Route } from '../context.ts';
import { notFound } from '../problem.ts';
import { HashText, OrderView, object } from '../schemas.ts';
import { orderView } from '../views.ts';

export const getOrder: Route = (app, context) => {
  const { pool, catalogue, writes } = context;
  app.get(
    '/orders/:id',
    {
      schema: {
        tags: ['account'],
        summary: 'One order by its id (EIP-712 digest)',
        params: object({ id: HashText }),
        response: { 200: OrderView },
      },
    },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      await writes.settled(account);
      const order = await findOrder(pool, request.params.id.toLowerCase() as Hash);
      // Someone else's order reads as absent.
      if (order === undefined || order.account !== account)
        throw notFound(`The account has no order ${request.params.id}.`);
      return orderView(order, await catalogue.marketAt(order.market));
    },
  );
};
