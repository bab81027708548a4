/** DELETE /auth/keys/:id: revokes a key; by any key of the account with the scope cancel, or by the wallet over `key:<id>`. */
import { Type } from 'typebox';
import type { Route } from '../context.ts';
import { notFound } from '../problem.ts';
import { object } from '../schemas.ts';

export const deleteApiKey: Route = (app, context) => {
  app.delete(
    '/auth/keys/:id',
    {
      schema: {
        tags: ['authentication'],
        summary: 'Revoke an API key',
        description: 'Takes effect within five seconds everywhere.',
        params: object({
          id: Type.String({ pattern: '^tk_[0-9a-f]{24}$', description: 'a key id: tk_ and 24 hex digits' }),
        }),
        response: { 200: object({ keyId: Type.String(), revoked: Type.Boolean() }) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const { account } = await context.requireCanceller(request, `key:${id}`);
      if (!(await context.credentials.keys.revoke(account, id, context.clock()))) {
        throw notFound(`The account has no live key ${id}.`);
      }
      return { keyId: id, revoked: true };
    },
  );
};
