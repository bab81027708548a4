/** POST /orders/:id/reduce: less of a live order, in its place; by an API key with the scope cancel, or by the wallet over `reduce:<id>:<remaining>`. */
import { parseSize } from '../../domain/markets.ts';
import type { Hash } from '../../domain/units.ts';
import type { Route } from '../context.ts';
import { validationFailed } from '../problem.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { DecimalIn, HashText, OrderView, object } from '../schemas.ts';
import { orderView } from '../views.ts';

export const reduceOrder: Route = (app, context) => {
  const { catalogue, desk } = context;
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
      const order = await desk.find(account, digest);
      const listed = await catalogue.marketAt(order.market);
      const left = parseSize(remaining, listed.market, listed.base);
      if (left === undefined || left < 1) {
        const message =
          'Expected a size in whole lots of the market, at least one. To have none left, cancel the order.';
        throw validationFailed([{ pointer: '/remaining', code: 'bad_size', message }]);
      }
      return orderView(await desk.reduce(account, digest, left), listed);
    },
  );
};
