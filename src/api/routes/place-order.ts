/** POST /orders: 201 when placed; the same signed order, or client order id and content, again: 200 and the original. */
import type { Route } from '../context.ts';
import { plainSerializer } from '../plain-serializer.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { PlacedOrder, PlaceOrderBody } from '../schemas.ts';

export const placeOrder: Route = (app, context) => {
  app.post(
    '/orders',
    {
      ...ORDER_BUDGET,
      serializerCompiler: plainSerializer,
      schema: {
        tags: ['trading'],
        summary: 'Place a signed order',
        description:
          'Needs no API key: the signature of the account, or of its session key, is the authority. ' +
          'With `replaces`, the named order is cancelled and this one placed in one step.',
        body: PlaceOrderBody,
        response: { 200: PlacedOrder, 201: PlacedOrder },
      },
    },
    async (request, reply) => {
      const { placed, isNew } = await context.desk.place(request.body);
      return reply.code(isNew ? 201 : 200).send(placed);
    },
  );
};
