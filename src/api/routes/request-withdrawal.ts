/** POST /withdrawals: signed by the owner, executed in a batch. Session and API keys never withdraw. */
import type { Route } from '../context.ts';
import { WithdrawalView } from '../market-schemas.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { WithdrawalBody } from '../schemas.ts';

export const requestWithdrawal: Route = (app, context) => {
  app.post(
    '/withdrawals',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['custody'],
        summary: 'Request a signed withdrawal',
        description:
          'Needs no API key: the owner’s signature is the authority. 201 when accepted, 200 with the original when the very same was sent before.',
        body: WithdrawalBody,
        response: { 200: WithdrawalView, 201: WithdrawalView },
      },
    },
    async (request, reply) => {
      const { withdrawal, isNew } = await context.withdrawals.request(request.body);
      return reply.code(isNew ? 201 : 200).send(withdrawal);
    },
  );
};
