/** The WebSocket at /ws: sockets, their limits, and an orderly end. */
import type { WebSocket, WebSocketServer } from 'ws';
import { ProjectionWaiter } from '../../storage/queries/progress.ts';
import type { ApiContext, ApiInstance } from '../context.ts';
import { observeSockets } from '../metrics.ts';
import { docsBaseOf, fieldErrorsOf } from '../problem.ts';
import { AccountFeeds } from './account-feeds.ts';
import { CLOSE_CODES, Connection } from './connection.ts';
import { Intake } from './intake.ts';
import { OPERATIONS } from './protocol.ts';
import { PublicChannels } from './public-channels.ts';
import { Session } from './session.ts';

/** How long a peer may take to answer our closing. */
const CLOSE_ANSWER_MS = 1_000;
/** How soon a revoked or expired key ends the sockets that it opened. */
const CREDENTIAL_CHECK_MS = 5_000;

export function registerStream(app: ApiInstance, context: ApiContext): void {
  const { dependencies, limits, catalogue, pool, clock } = context;
  const onProblem = (error: unknown): void => app.log.error({ err: error }, 'the stream had a problem');
  const waiter = new ProjectionWaiter(pool);
  const publicChannels = new PublicChannels({ marketData: dependencies.marketData, catalogue, pool, clock, onProblem });
  const feeds = new AccountFeeds({
    events: dependencies.events,
    pool,
    catalogue,
    waitForProjection: (sequence, timeoutMs) => waiter.waitFor(sequence, timeoutMs),
    onProblem,
  });
  const connections = new Set<Connection>();
  const intake = new Intake();
  const socketsOf = new Map<string, number>();
  const countSocket = (address: string, by: 1 | -1): void => {
    const count = (socketsOf.get(address) ?? 0) + by;
    if (count === 0) socketsOf.delete(address);
    else socketsOf.set(address, count);
  };

  if (dependencies.metrics !== undefined) {
    observeSockets(dependencies.metrics, () => ({
      sockets: connections.size,
      subscriptions: [...connections].reduce((sum, connection) => sum + connection.subscriptionCount, 0),
    }));
  }

  app.get('/ws', { websocket: true, schema: { hide: true } }, (socket: WebSocket, request) => {
    const address = request.ip;
    if (connections.size >= limits.socketsMax || (socketsOf.get(address) ?? 0) >= limits.socketsPerAddressMax) {
      socket.close(CLOSE_CODES.tooManyConnections, 'too many connections');
      return;
    }
    const connection = new Connection(socket, request.raw.socket);
    connections.add(connection);
    countSocket(address, 1);
    const session = new Session(connection, {
      context,
      publicChannels,
      feeds,
      check: (op, message) => {
        const validate = request.compileValidationSchema(OPERATIONS[op]);
        return validate(message)
          ? []
          : fieldErrorsOf((validate.errors ?? []) as Parameters<typeof fieldErrorsOf>[0], 'body');
      },
      take: (budget) => context.rateLimits.take(budget, address),
      docsBase: docsBaseOf(request, dependencies.publicUrl),
      logger: request.log.child({ reqId: request.id }),
    });
    socket.on('message', (bytes: Buffer) => intake.take(socket, () => void session.receive(bytes)));
    socket.on('error', (error) => request.log.debug({ err: error }, 'socket error'));
    const end = (): void => {
      connections.delete(connection);
      countSocket(address, -1);
      void session.closed();
    };
    // After the messages that came before: one of them may ask for what the end has to undo.
    socket.on('close', () => intake.take(socket, end));
  });

  // A socket outlives the moment of its login: what the key may do can end meanwhile.
  const credentialCheck = setInterval(() => void endRevoked().catch(onProblem), CREDENTIAL_CHECK_MS).unref();
  async function endRevoked(): Promise<void> {
    for (const connection of [...connections]) {
      const keyId = connection.caller?.keyId;
      if (keyId === undefined) continue;
      const key = await context.credentials.keys.find(keyId);
      if (key === undefined || key.revokedAtMs !== undefined || key.expiresAtMs <= clock()) connection.endLogin();
    }
  }
  app.addHook('onClose', async () => {
    clearInterval(credentialCheck);
    await publicChannels.stop();
    await feeds.stop();
  });
}

/** Says why before it ends a socket, so that clients reconnect instead of wondering; ends those that do not answer. */
export function closeSockets(server: Pick<WebSocketServer, 'clients' | 'close'>): void {
  const notice = JSON.stringify({
    op: 'notice',
    code: 'shutdown',
    message: 'The server is restarting; connect again.',
  });
  for (const socket of server.clients) {
    socket.send(notice);
    socket.close(1001, 'shutting down');
  }
  server.close();
  // The HTTP server waits for its sockets, and so does whoever closes it.
  setTimeout(() => {
    for (const socket of server.clients) socket.terminate();
  }, CLOSE_ANSWER_MS).unref();
}
