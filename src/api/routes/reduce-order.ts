/** POST /orders/:id/reduce: less of a live order, in its place; by an API key with the scope cancel, or by the wallet over `reduce:<id>:<remaining>`. */
import type { Hash } from '../../domain/units.ts';
import type { Route } from '../context.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { DecimalIn, HashText, OrderView, object } from '../schemas.ts';
import { reduceOrder as reduce } from '../trading/reduce-order.ts';

export const reduceOrder: Route = (app, context) => {
  app.post(
    '/orders/:id/reduce',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['trading'],
        summary: 'Reduce what an order has left',
        description:
          'Off chain, at once; the order keeps its place in the queue and its signature. Reducing to what is left already succeeds.',
        params: object({ id: HashText }),
        body: object({ remaining: DecimalIn }),
        response: { 200: OrderView },
      },
    },
    async (request) => {
      const digest = request.params.id.toLowerCase() as Hash;
      const { remaining } = request.body;
      const { account } = await context.requireCanceller(request, `reduce:${digest}:${remaining}`);
      return reduce({ account, digest, remaining }, context);
    },
  );
};
