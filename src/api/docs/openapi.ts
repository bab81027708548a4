/** OpenAPI from the routes' own schemas, so that it cannot differ from what is checked. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { ProblemSchema } from '../schemas.ts';

const DESCRIPTION = `Amounts and prices are plain decimal strings; times are milliseconds (the expiry inside signed messages: Unix seconds);
addresses are checksummed on the way out and taken in any case. Lists answer \`{ data, nextCursor }\`. Errors are RFC 9457 problem documents
with a stable \`code\`. Orders and withdrawals carry their own EIP-712 signature and need no API key.`;

type OpenApiObject = {
  paths?: Record<string, Record<string, { responses?: Record<string, unknown> }>>;
  components?: Record<string, unknown>;
};

export function openApiOptions(): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Tallystick', version: '1', description: DESCRIPTION, license: { name: 'MIT' } },
      tags: [
        { name: 'public', description: 'The exchange itself' },
        { name: 'market data', description: 'Listings, books, trades' },
        { name: 'trading', description: 'Place, validate, replace, cancel' },
        { name: 'account', description: 'What one account sees; needs an API key with the scope read' },
        { name: 'custody', description: 'Withdrawals and exits' },
        { name: 'authentication', description: 'API keys' },
        { name: 'audit', description: 'Batches, journal, reconciliation: check us' },
      ],
      components: {
        securitySchemes: {
          apiKey: {
            type: 'apiKey',
            in: 'header',
            name: 'tallystick-key',
            description: 'With tallystick-timestamp and tallystick-signature.',
          },
        },
      },
    },
    transformObject: (document) => {
      const openapi = ('openapiObject' in document ? document.openapiObject : {}) as OpenApiObject;
      openapi.components = { ...openapi.components, schemas: { Problem: ProblemSchema } };
      const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
      for (const operations of Object.values(openapi.paths ?? {})) {
        for (const operation of Object.values(operations)) {
          operation.responses = { ...operation.responses, default: { description: 'A problem document.', content } };
        }
      }
      return openapi as ReturnType<NonNullable<FastifyDynamicSwaggerOptions['transformObject']>>;
    },
  };
}
