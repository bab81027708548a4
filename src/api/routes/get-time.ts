/** GET /time: the server's clock, for receive windows and nonce sequences. */
import type { Route } from '../context.ts';
import { object, TimeMs } from '../schemas.ts';

export const getTime: Route = (app, { clock }) => {
  app.get(
    '/time',
    { schema: { tags: ['public'], summary: "The server's clock", response: { 200: object({ timeMs: TimeMs }) } } },
    async () => ({ timeMs: clock() }),
  );
};
