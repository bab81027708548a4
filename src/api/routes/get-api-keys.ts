/** GET /auth/keys: the account's keys, without their secrets. */
import { Type } from 'typebox';
import { API_KEY_SCOPES } from '../auth/api-keys.ts';
import type { Route } from '../context.ts';
import { whole } from '../paging.ts';
import { nullable, object, page, TimeMs } from '../schemas.ts';

const Key = object({
  keyId: Type.String(),
  scopes: Type.Array(Type.Enum([...API_KEY_SCOPES])),
  label: Type.String(),
  createdAt: TimeMs,
  expiresAt: TimeMs,
  revokedAt: nullable(TimeMs),
});

export const getApiKeys: Route = (app, context) => {
  app.get(
    '/auth/keys',
    { schema: { tags: ['authentication'], summary: "The account's API keys", response: { 200: page(Key) } } },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      const keys = await context.credentials.keys.list(account);
      return whole(
        keys.map((key) => ({
          keyId: key.keyId,
          scopes: [...key.scopes],
          label: key.label,
          createdAt: key.createdAtMs,
          expiresAt: key.expiresAtMs,
          revokedAt: key.revokedAtMs ?? null,
        })),
      );
    },
  );
};
