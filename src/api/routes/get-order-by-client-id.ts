/** GET /orders/by-client-id/:id: how to learn what became of a placement whose answer was lost. */
import { findOrderByClientId } from '../../storage/queries/orders.ts';
import type { Route } from '../context.ts';
import { notFound } from '../problem.ts';
import { ClientOrderId, OrderView, object } from '../schemas.ts';
import { orderView } from '../views.ts';

export const getOrderByClientId: Route = (app, context) => {
  const { pool, catalogue, writes } = context;
  app.get(
    '/orders/by-client-id/:id',
    {
      schema: {
        tags: ['account'],
        summary: 'One order by its client order id',
        params: object({ id: ClientOrderId }),
        response: { 200: OrderView },
      },
    },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      await writes.settled(account);
      const order = await findOrderByClientId(pool, account, request.params.id);
      if (order === undefined)
        throw notFound(`The account has no order with the client order id ${request.params.id}.`);
      return orderView(order, await catalogue.marketAt(order.market));
    },
  );
};
