/** POST /orders/replace: one signed order takes the place of a live one, in one step. */
import { Type } from 'typebox';
import type { Route } from '../context.ts';
import { validationFailed } from '../problem.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { PlacedOrder, PlaceOrderBody } from '../schemas.ts';

const ReplaceOrderBody = Type.Object(PlaceOrderBody.properties, { additionalProperties: false });

export const replaceOrder: Route = (app, context) => {
  app.post(
    '/orders/replace',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['trading'],
        summary: 'Cancel an order and place another in one step',
        description: 'As POST /orders, with `replaces` required.',
        body: ReplaceOrderBody,
        response: { 200: PlacedOrder, 201: PlacedOrder },
      },
    },
    async (request, reply) => {
      if (request.body.replaces === undefined) {
        throw validationFailed([{ pointer: '/replaces', code: 'required', message: 'Name the order to replace.' }]);
      }
      const { placed, isNew } = await context.desk.place(request.body);
      return reply.code(isNew ? 201 : 200).send(placed);
    },
  );
};
