/** POST /orders/cancel-after: the dead man's switch. Everything is cancelled at the deadline unless this is called again. */
import { Type } from 'typebox';
import type { TimestampMs } from '../../domain/units.ts';
import type { Route } from '../context.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { nullable, object, TimeMs } from '../schemas.ts';

const TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000;

export const cancelAfter: Route = (app, context) => {
  app.post(
    '/orders/cancel-after',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['trading'],
        summary: "Set, renew or clear the dead man's switch",
        body: object({
          timeoutMs: Type.Integer({ minimum: 0, maximum: TIMEOUT_MAX_MS, description: 'From now; 0 switches it off.' }),
        }),
        response: { 200: object({ deadline: nullable(TimeMs) }) },
      },
    },
    async (request) => {
      const { timeoutMs } = request.body;
      const { account } = await context.requireCanceller(request, `cancel-after:${timeoutMs}`);
      const deadline = timeoutMs === 0 ? undefined : ((context.clock() + timeoutMs) as TimestampMs);
      await context.desk.cancelAfter(account, deadline);
      return { deadline: deadline ?? null };
    },
  );
};
