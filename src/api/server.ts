/**
 * The public HTTP server: REST below /api/v1, the WebSocket at /ws, documentation, and the web page's files.
 *
 * Bodies are parsed strictly and never coerced: Ajv's defaults would round long numbers and drop misspelt fields, which with signed
 * orders means another order than the one signed. Query strings are text, checked by pattern and converted by hand.
 * Every error leaves as a problem document. Nothing here keeps state that another gateway would miss.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import fastifyStatic from '@fastify/static';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import websocket from '@fastify/websocket';
import type { FastifyBaseLogger, FastifyHttpOptions, FastifyRequest, RawServerDefault } from 'fastify';
import Fastify, { LogController } from 'fastify';
import { createDigester } from '../chain/digests.ts';
import { findKnownDeposits } from '../storage/queries/known-accounts.ts';
import { listAssets, listMarkets } from '../storage/queries/listings.ts';
import { ProjectionWaiter } from '../storage/queries/progress.ts';
import { createApiKeyStore } from './auth/api-keys.ts';
import type { Credentials, SignedRequest } from './auth/authenticate.ts';
import { authenticateKey, authenticateWallet, hasWalletSignature } from './auth/authenticate.ts';
import type { ApiContext, ApiDependencies, ApiInstance, ApiLimits } from './context.ts';
import { DEFAULT_LIMITS } from './context.ts';
import { openApiOptions } from './docs/openapi.ts';
import { registerDocs } from './docs/register-docs.ts';
import { MarketCatalogue } from './market-catalogue.ts';
import { measureCommands, observeRateLimits, observeRequests } from './metrics.ts';
import { ProblemError, sendProblem } from './problem.ts';
import { limitRate, RateLimits } from './rate-limits.ts';
import { ReadYourWrites } from './read-your-writes.ts';
import { ROUTES } from './routes/index.ts';
import { DisconnectLeases } from './stream/disconnect-leases.ts';
import { closeSockets, registerStream } from './stream/register-stream.ts';
import { parseStrictJson } from './strict-json.ts';
import { KnownAccounts } from './trading/known-accounts.ts';
import { OrderDesk } from './trading/order-desk.ts';
import { WithdrawalDesk } from './trading/withdrawal-desk.ts';

const NO_BODY = new Uint8Array();
/** Time to receive a whole request: a client that trickles is dropped. */
const REQUEST_TIMEOUT_MS = 15_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** How often Node looks for those who take too long. */
const CONNECTIONS_CHECK_MS = 5_000;
const WEBSOCKET_MESSAGE_BYTES_MAX = 64 * 1024;

/** Ready to `listen`; `close` ends sockets with a notice. The caller owns everything in `dependencies`. */
export async function createApiServer(dependencies: ApiDependencies): Promise<ApiInstance> {
  const context = createContext(dependencies);
  const { publicUrl } = dependencies;
  const requestTimeoutMs = dependencies.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  const options: FastifyHttpOptions<RawServerDefault, FastifyBaseLogger> = {
    loggerInstance: dependencies.logger,
    logController: new LogController({ disableRequestLogging: true }),
    // A logger of its own costs every request; the few that log name their id.
    childLoggerFactory: (logger) => logger,
    bodyLimit: context.limits.bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    http: {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs),
      connectionsCheckingInterval: Math.min(CONNECTIONS_CHECK_MS, requestTimeoutMs),
    },
    forceCloseConnections: 'idle',
    trustProxy: dependencies.trustProxy ?? false,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: true,
        verbose: true,
      },
    },
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply, publicUrl);
    },
  };
  const app: ApiInstance = Fastify(options).withTypeProvider<TypeBoxTypeProvider>();

  app.decorateRequest('rawBody');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    request.rawBody = body;
    try {
      done(null, body.length === 0 ? undefined : parseStrictJson(body));
    } catch (error) {
      done(error as Error);
    }
  });
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, publicUrl));
  addCommonHeaders(app, context.rateLimits);
  app.addHook('onClose', () => context.rateLimits.stop());
  if (dependencies.metrics !== undefined) observeRequests(app, dependencies.metrics);

  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new ProblemError(
        'NOT_FOUND',
        `There is no ${request.method} ${request.url.split('?')[0]}; /docs lists what there is.`,
      ),
      request,
      reply,
      publicUrl,
    ),
  );
  await app.register(websocket, {
    options: { maxPayload: WEBSOCKET_MESSAGE_BYTES_MAX, perMessageDeflate: false },
    preClose: async () => closeSockets(app.websocketServer),
  });
  await app.register(swagger, openApiOptions());
  await app.register(
    async (api: ApiInstance) => {
      for (const route of ROUTES) route(api, context);
    },
    { prefix: '/api/v1' },
  );
  registerDocs(app, dependencies);
  registerStream(app, context);
  if (dependencies.webDirectory !== undefined && existsSync(dependencies.webDirectory)) {
    await app.register(fastifyStatic, { root: dependencies.webDirectory, prefix: '/', decorateReply: false });
  }
  return app;
}

function createContext(dependencies: ApiDependencies): ApiContext {
  const { pool, chain, signatures, metrics } = dependencies;
  const commands = metrics === undefined ? dependencies.commands : measureCommands(dependencies.commands, metrics);
  const clock = dependencies.clock ?? Date.now;
  const limits = { ...DEFAULT_LIMITS, ...dependencies.limits };
  const digester = createDigester(chain.domain);
  const catalogue = new MarketCatalogue(
    async () => {
      const [assets, markets] = await Promise.all([listAssets(pool), listMarkets(pool)]);
      return { assets, markets };
    },
    clock,
    chain.wrappedNative,
  );
  const waiter = new ProjectionWaiter(pool);
  const writes = new ReadYourWrites((sequence, timeoutMs) => waiter.waitFor(sequence, timeoutMs));
  const accounts = new KnownAccounts({
    look: (asked) => findKnownDeposits(pool, asked),
    reached: (sequence) => writes.reached(sequence),
  });
  const credentials: Credentials = {
    keys: createApiKeyStore(pool, clock),
    masterKey: dependencies.apiKeySecret,
    digester,
    clock,
  };
  const { commandTimeoutMs } = limits;
  const deskDependencies = { pool, commands, signatures, accounts, catalogue, writes, clock, commandTimeoutMs };
  return {
    dependencies,
    pool,
    clock,
    limits,
    rateLimits: createRateLimits(dependencies, limits, clock),
    chain,
    digester,
    catalogue,
    credentials,
    writes,
    accounts,
    desk: new OrderDesk(deskDependencies),
    disconnects: new DisconnectLeases({
      commands,
      clock,
      commandTimeoutMs,
      onProblem: (message, cause) => dependencies.logger.warn({ err: cause }, message),
    }),
    withdrawals: new WithdrawalDesk(deskDependencies),
    requireKey: (request, scope) => authenticateKey(signedRequestOf(request), scope, credentials),
    requireCanceller: async (request, scope) => {
      const signed = signedRequestOf(request);
      return hasWalletSignature(signed)
        ? authenticateWallet(signed, scope, credentials)
        : authenticateKey(signed, 'cancel', credentials);
    },
  };
}

function signedRequestOf(request: FastifyRequest): SignedRequest {
  return {
    method: request.method,
    path: request.raw.url ?? request.url,
    body: request.rawBody,
    header: (name) => {
      const value = request.headers[name];
      return typeof value === 'string' ? value : undefined;
    },
  };
}

/** A caller's own id is kept when it is harmless in a log. */
function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : randomUUID();
}

const CORS_HEADERS = [
  'content-type',
  'x-request-id',
  'tallystick-key',
  'tallystick-timestamp',
  'tallystick-signature',
  'tallystick-receive-window',
  'tallystick-account',
  'tallystick-wallet-signature',
].join(', ');

/** Request id, access for browsers of any origin (nothing here is authorised by cookies), and the rate limits. */
function addCommonHeaders(app: ApiInstance, rateLimits: RateLimits): void {
  // A hook with a callback: one that is async costs every request some turns of the microtask queue.
  app.addHook('onRequest', (request, reply, done) => {
    request.rawBody = NO_BODY;
    void reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'access-control-allow-origin': '*',
      'access-control-expose-headers':
        'x-request-id, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after',
    });
    if (request.method === 'OPTIONS') {
      void reply
        .code(204)
        .headers({
          'access-control-allow-methods': 'GET, POST, DELETE',
          'access-control-allow-headers': CORS_HEADERS,
          'access-control-max-age': '86400',
        })
        .send();
      return;
    }
    try {
      limitRate(rateLimits, request, reply);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
}

function createRateLimits(dependencies: ApiDependencies, limits: ApiLimits, clock: () => number): RateLimits {
  const { sharedCounters: shared, logger, metrics } = dependencies;
  const rateLimits = new RateLimits({
    limits,
    clock,
    shared,
    onSharingLost: (cause) =>
      logger.error({ err: cause }, 'rate limits are not shared: each gateway holds them by its own count'),
  });
  if (metrics !== undefined && shared !== undefined) observeRateLimits(metrics, () => rateLimits.isShared);
  return rateLimits;
}
