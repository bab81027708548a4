/** POST /orders/cancel-after: the dead man's switch. Everything is cancelled at the deadline unless this is called again. */
import type { Route } from '../context.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { CancelTimeoutMs, nullable, object, TimeMs } from '../schemas.ts';
import { cancelAfterTimeout } from '../trading/cancel-after-timeout.ts';

export const cancelAfter: Route = (app, context) => {
  app.post(
    '/orders/cancel-after',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['trading'],
        summary: "Set, renew or clear the dead man's switch",
        body: object({ timeoutMs: CancelTimeoutMs }),
        response: { 200: object({ deadline: nullable(TimeMs) }) },
      },
    },
    async (request) => {
      const { timeoutMs } = request.body;
      const { account } = await context.requireCanceller(request, `cancel-after:${timeoutMs}`);
      return { deadline: (await cancelAfterTimeout(account, timeoutMs, context)) ?? null };
    },
  );
};
