/** GET /ping: whether this server answers at all. */
import type { Route } from '../context.ts';
import { object } from '../schemas.ts';

export const getPing: Route = (app) => {
  app.get(
    '/ping',
    { schema: { tags: ['public'], summary: 'Answer at once', response: { 200: object({}) } } },
    async () => ({}),
  );
};
