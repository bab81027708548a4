/** /livez, /readyz and /metrics, on a port of their own that is not open to the world. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Registry } from 'prom-client';

/** Resolves when the dependency is usable; rejects with what is wrong. */
export type ReadinessCheck = () => Promise<void>;

export type OperationsOptions = {
  readonly registry: Registry;
  /** By name, as the answer shows them: database, redis, rpc, … */
  readonly checks: Readonly<Record<string, ReadinessCheck>>;
  readonly logger: FastifyBaseLogger;
  readonly checkTimeoutMs?: number;
};

const CHECK_TIMEOUT_MS = 2_000;

type CheckResult = { readonly ok: boolean; readonly problem?: string };

export function createOperationsServer(options: OperationsOptions): FastifyInstance {
  const app = Fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
  });
  app.get('/livez', async () => ({ status: 'alive' }));
  app.get('/readyz', async (_request, reply) => {
    const results = await runChecks(options);
    const ready = Object.values(results).every((result) => result.ok);
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not_ready', checks: results });
  });
  app.get('/metrics', async (_request, reply) =>
    reply.header('content-type', options.registry.contentType).send(await options.registry.metrics()),
  );
  return app as unknown as FastifyInstance;
}

async function runChecks(options: OperationsOptions): Promise<Record<string, CheckResult>> {
  const timeoutMs = options.checkTimeoutMs ?? CHECK_TIMEOUT_MS;
  const entries = Object.entries(options.checks).map(async ([name, check]): Promise<[string, CheckResult]> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      await Promise.race([check(), late]);
      return [name, { ok: true }];
    } catch (error) {
      return [name, { ok: false, problem: error instanceof Error ? error.message : String(error) }];
    } finally {
      clearTimeout(timer);
    }
  });
  return Object.fromEntries(await Promise.all(entries));
}
