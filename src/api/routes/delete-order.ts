/** DELETE /orders/:id: by an API key with the scope cancel, or by the wallet's own signature over `order:<id>`. */
import type { Hash } from '../../domain/units.ts';
import type { Route } from '../context.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { HashText, OrderView, object } from '../schemas.ts';
import { orderView } from '../views.ts';

export const deleteOrder: Route = (app, context) => {
  const { catalogue, desk } = context;
  app.delete(
    '/orders/:id',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['trading'],
        summary: 'Cancel one order',
        description: 'Off chain, at once. Cancelling what was cancelled before succeeds.',
        params: object({ id: HashText }),
        response: { 200: OrderView },
      },
    },
    async (request) => {
      const digest = request.params.id.toLowerCase() as Hash;
      const { account } = await context.requireCanceller(request, `order:${digest}`);
      const order = await desk.cancel(account, digest);
      return orderView(order, await catalogue.marketAt(order.market));
    },
  );
};
