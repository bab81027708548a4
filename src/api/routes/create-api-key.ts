/** POST /auth/keys: a wallet's signature makes an API key. The same signature again gives the same key. */
import { Type } from 'typebox';
import { toChecksum, toInternal } from '../addresses.ts';
import type { ApiKeyScope } from '../auth/api-keys.ts';
import { API_KEY_SCOPES, apiKeySecret } from '../auth/api-keys.ts';
import { requireSigner, WALLET_WINDOW_MS } from '../auth/authenticate.ts';
import type { Route } from '../context.ts';
import { ProblemError, validationFailed } from '../problem.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { AddressIn, AddressOut, object, SignatureIn, TimeMs } from '../schemas.ts';

const LIFETIME_MAX_MS = 366 * 24 * 60 * 60 * 1000;
const CLOCK_AHEAD_MAX_MS = 60_000;

const Body = object({
  account: AddressIn,
  scopes: Type.String({
    pattern: '^(read|cancel|trade)(,(read|cancel|trade)){0,2}$',
    description: 'a comma-separated list of read, cancel, trade',
  }),
  expiry: Type.Integer({
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'Milliseconds since the Unix epoch.',
  }),
  timestamp: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Now, in milliseconds.' }),
  signature: SignatureIn,
  label: Type.Optional(
    Type.String({ maxLength: 60, pattern: '^[^\\u0000-\\u001f]*$', description: 'text without control characters' }),
  ),
});

const Created = object({
  keyId: Type.String(),
  secret: Type.String({
    description: 'Signs requests by HMAC-SHA256. It is not stored; the same signature shows it again.',
  }),
  account: AddressOut,
  scopes: Type.Array(Type.Enum([...API_KEY_SCOPES])),
  expiresAt: TimeMs,
});

export const createApiKey: Route = (app, context) => {
  const { clock, credentials, digester } = context;
  app.post(
    '/auth/keys',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['authentication'],
        summary: 'Make an API key by the EIP-712 message ApiKey',
        body: Body,
        response: { 200: Created, 201: Created },
      },
    },
    async (request, reply) => {
      const { scopes, expiry, timestamp, signature, label } = request.body;
      const account = toInternal(request.body.account);
      const now = clock();
      if (timestamp < now - WALLET_WINDOW_MS || timestamp > now + CLOCK_AHEAD_MAX_MS) {
        throw new ProblemError(
          'UNAUTHENTICATED',
          `The timestamp is ${timestamp - now} ms from our clock; sign a new message.`,
          {
            errors: [{ pointer: '/timestamp', code: 'outside_window', message: `At most ${WALLET_WINDOW_MS} ms old.` }],
          },
        );
      }
      if (expiry <= now || expiry > now + LIFETIME_MAX_MS) {
        throw validationFailed([
          { pointer: '/expiry', code: 'out_of_range', message: 'Must lie ahead, at most 366 days.' },
        ]);
      }
      const digest = digester.apiKey({ account, scopes, expiry: BigInt(expiry), timestamp: BigInt(timestamp) });
      requireSigner(account, digest, signature, digester.domain);
      const { key, created } = await credentials.keys.create({
        account,
        scopes: [...new Set(scopes.split(',') as ApiKeyScope[])],
        expiresAtMs: expiry,
        label: label ?? '',
        createdAtMs: now,
        digest,
      });
      if (key.revokedAtMs !== undefined)
        throw new ProblemError('FORBIDDEN', 'This key was revoked; sign a new message.');
      return reply.code(created ? 201 : 200).send({
        keyId: key.keyId,
        secret: apiKeySecret(credentials.masterKey, key.keyId),
        account: toChecksum(key.account),
        scopes: [...key.scopes],
        expiresAt: key.expiresAtMs,
      });
    },
  );
};
