/**
 * POST /orders/batch: several orders, each on its own. Signatures are checked side by side; the orders reach the engine in the order
 * given and share commits of the journal.
 */
import { Type } from 'typebox';
import type { Route } from '../context.ts';
import { plainSerializer } from '../plain-serializer.ts';
import { docsBaseOf, problemOf, toExchangeError } from '../problem.ts';
import { limitRate, ORDER_BUDGET } from '../rate-limits.ts';
import { object, PlacedOrder, PlaceOrderBody } from '../schemas.ts';
import { PlacementLine } from '../trading/placement-line.ts';

type BatchResult = { readonly status: number; readonly placed?: PlacedOrder; readonly problem?: object };

export const placeOrders: Route = (app, context) => {
  const { limits, dependencies } = context;
  app.post(
    '/orders/batch',
    {
      ...ORDER_BUDGET,
      serializerCompiler: plainSerializer,
      schema: {
        tags: ['trading'],
        summary: 'Place several signed orders, in the order given',
        description:
          'One result per order, at its position: `placed`, or `problem` as the single endpoint would answer.',
        body: object({ orders: Type.Array(PlaceOrderBody, { minItems: 1, maxItems: limits.batchOrdersMax }) }),
        response: {
          200: object({
            results: Type.Array(
              object({
                status: Type.Integer({ description: '201 placed, 200 placed before, else the status of the problem.' }),
                placed: Type.Optional(PlacedOrder),
                problem: Type.Optional(Type.Object({}, { additionalProperties: true })),
              }),
            ),
          }),
        },
      },
    },
    async (request, reply) => {
      // The request has counted as one order already.
      limitRate(context.rateLimits, request, reply, request.body.orders.length - 1);
      const docsBase = docsBaseOf(request, dependencies.publicUrl);
      const line = new PlacementLine();
      const placeOne = async (body: PlaceOrderBody, index: number): Promise<BatchResult> => {
        try {
          const { placed, isNew } = await context.desk.place(body, line);
          return { status: isNew ? 201 : 200, placed };
        } catch (error) {
          const problem = problemOf(toExchangeError(error), `/api/v1/orders/batch#${index}`, docsBase);
          if (problem.status === 500)
            request.log.error({ err: error, reqId: request.id }, 'an order of a batch failed');
          return { status: problem.status, problem };
        }
      };
      return { results: await Promise.all(request.body.orders.map(placeOne)) };
    },
  );
};
