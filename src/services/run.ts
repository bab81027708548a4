/**
 * One service of the exchange as a process of its own, as production runs them:
 *
 *   node src/services/run.ts gateway|engine|settlement|indexer|projector|reconciliation
 *
 * Needs DATABASE_URL, RPC_URL, REDIS_URL and a vault (VAULT_ADDRESS, or the one recorded in the database). Any number of gateways; of the
 * others one works and further ones stand by: they wait for the lease, the lock or the leadership.
 */
import type { Pool } from 'pg';
import { Registry } from 'prom-client';
import { createOperationsServer, type ReadinessCheck } from '../api/operations-server.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Transport } from '../messaging/port.ts';
import type { RedisOptions } from '../messaging/redis/connection.ts';
import { createRedisCounters } from '../messaging/redis/shared-counters.ts';
import { createRedisTransport } from '../messaging/redis/transport.ts';
import { observeSettlement } from '../settlement/metrics.ts';
import { openIncident } from '../storage/incidents.ts';
import { requestOperatorCommand } from '../storage/operator-requests.ts';
import {
  createSettlementService,
  startIndexerService,
  startProjectorService,
  startReconciliationService,
} from './background-services.ts';
import { observeIndexer, observeReconciliation } from './chain-metrics.ts';
import { addressSetting, readSettings, rpcUrls, type Settings } from './config.ts';
import { checkClock, observeEngine } from './engine-metrics.ts';
import { startEngineService } from './engine-service.ts';
import { startGatewayService } from './gateway-service.ts';
import { createLogger } from './logger.ts';
import { createProcessContext, type ProcessContext } from './process-context.ts';
import { readChainId } from './read-chain-id.ts';
import { chooseEngineSigner, chooseTransactionSigner } from './signing-keys.ts';
import { finalityOf, recordedVault, requireActiveKey } from './vault-place.ts';

const POOL_CONNECTIONS = 10;

type Running = {
  /** Rejects when the service had to stop by itself. */
  readonly done: Promise<unknown>;
  readonly checks: Readonly<Record<string, ReadinessCheck>>;
  readonly stop: () => Promise<void>;
};

const FORGED_MESSAGES =
  'Messages in Redis were refused: not sealed with our TRANSPORT_SECRET. It differs between processes, or somebody else writes to Redis';

const NEVER = new Promise<never>(() => undefined);

const SERVICES: Readonly<
  Record<string, (context: ProcessContext, signal: AbortSignal, metrics: Registry) => Promise<Running>>
> = {
  gateway: runGateway,
  engine: runEngine,
  settlement: runSettlement,
  indexer: runIndexer,
  projector: runProjector,
  reconciliation: runReconciliation,
};

async function runGateway(context: ProcessContext, _signal: AbortSignal, metrics: Registry): Promise<Running> {
  const apiKeySecret = required(context.settings, 'API_KEY_SECRET');
  const pool = context.openPool('gateway', POOL_CONNECTIONS);
  const transport = await openTransport(context, pool);
  const sharedCounters = createRedisCounters(redisOptions(context));
  const gateway = await startGatewayService({
    context,
    pool,
    transport,
    apiKeySecret,
    metrics,
    sharedCounters,
  });
  context.logger.info({ url: gateway.url }, 'the gateway listens');
  return {
    done: NEVER,
    checks: {
      market_data: async () => {
        if (!gateway.marketData.synced) throw new Error('the books are not in step with the engine');
      },
    },
    stop: async () => {
      await gateway.stop();
      await sharedCounters.close();
      await transport.close();
    },
  };
}

async function runEngine(context: ProcessContext, signal: AbortSignal, metrics: Registry): Promise<Running> {
  const { settings, chain } = context;
  const engineSigner = chooseEngineSigner(settings, chain.chainId);
  requireActiveKey(chain.engine, engineSigner.address);
  const pool = context.openPool('engine', POOL_CONNECTIONS);
  const transport = await openTransport(context, pool);
  const engine = await startEngineService({ context, pool, transport, engineSigner, signal });
  observeEngine(metrics, engine);
  return {
    done: engine.done,
    checks: { clock: () => checkClock(engine) },
    stop: async () => {
      await engine.stop();
      await transport.close();
    },
  };
}

async function runSettlement(context: ProcessContext, _signal: AbortSignal, metrics: Registry): Promise<Running> {
  const signer = chooseTransactionSigner(context.settings, context.chain.chainId);
  const pool = context.openPool('settlement', POOL_CONNECTIONS);
  const submitter = createSettlementService(context, pool, signer);
  observeSettlement(metrics, submitter, pool);
  submitter.start();
  return {
    done: NEVER,
    checks: {
      settlement: async () => {
        const { waitingFor } = submitter.status();
        if (waitingFor !== undefined) throw new Error(`settlement waits: ${waitingFor}`);
      },
    },
    stop: submitter.stop,
  };
}

async function runIndexer(context: ProcessContext, _signal: AbortSignal, metrics: Registry): Promise<Running> {
  const indexer = await startIndexerService(context, context.openPool('indexer', POOL_CONNECTIONS), () => undefined);
  observeIndexer(metrics, indexer);
  return {
    done: indexer.done,
    checks: {
      chain: async () => {
        const { state, lastError } = indexer.status();
        if (state !== 'following') throw new Error(`the indexer is ${state}: ${lastError ?? 'starting'}`);
      },
    },
    stop: indexer.stop,
  };
}

async function runProjector(context: ProcessContext): Promise<Running> {
  const projector = startProjectorService(context, context.openPool('projector', POOL_CONNECTIONS));
  return { done: NEVER, checks: {}, stop: () => projector.stop() };
}

async function runReconciliation(context: ProcessContext, _signal: AbortSignal, metrics: Registry): Promise<Running> {
  const pool = context.openPool('reconciliation', POOL_CONNECTIONS);
  const reconciler = startReconciliationService(context, pool, (reason) =>
    requestOperatorCommand(pool, {
      command: { kind: 'haltWithdrawals', reason },
      reason,
      requestedBy: 'reconciliation',
    }),
  );
  observeReconciliation(metrics, reconciler);
  return { done: NEVER, checks: {}, stop: reconciler.stop };
}

/** Messages that nobody of ours sealed raise an incident: whoever wrote them can write to Redis. */
function openTransport(context: ProcessContext, pool: Pool): Promise<Transport> {
  const { settings, logger, warn } = context;
  return createRedisTransport({
    ...redisOptions(context),
    secret: required(settings, 'TRANSPORT_SECRET'),
    onForged: ({ what, count }) => {
      logger.error({ what, count }, FORGED_MESSAGES);
      openIncident(pool, { kind: 'forged_messages', summary: FORGED_MESSAGES, details: { what, count } }).catch(
        (error: unknown) => warn('the incident of forged messages could not be opened', error),
      );
    },
  });
}

function redisOptions({ settings, chain, warn }: ProcessContext): RedisOptions {
  return {
    url: required(settings, 'REDIS_URL'),
    namespace: `${chain.chainId}:${chain.vault}`,
    onProblem: ({ message, cause }) => warn(message, cause),
  };
}

type RequiredName = 'DATABASE_URL' | 'RPC_URL' | 'REDIS_URL' | 'API_KEY_SECRET' | 'TRANSPORT_SECRET';

function required(settings: Settings, name: RequiredName): string {
  const value = settings[name];
  if (value === undefined)
    throw new ExchangeError('CONFIGURATION', `${name} is missing; this service cannot run without it.`);
  return value;
}

async function openContext(settings: Settings, service: string): Promise<ProcessContext> {
  const databaseUrl = required(settings, 'DATABASE_URL');
  required(settings, 'RPC_URL');
  const urls = rpcUrls(settings);
  const vault = addressSetting(settings.VAULT_ADDRESS) ?? (await recordedVault(databaseUrl));
  if (vault === undefined)
    throw new ExchangeError('CONFIGURATION', 'VAULT_ADDRESS is missing, and the database names no vault yet.');
  const logger = createLogger(settings.LOG_LEVEL, service);
  const { chainId, silent } = await readChainId(urls);
  for (const problem of silent) logger.warn(`a node was passed over for the chain id: ${problem}`);
  return createProcessContext({
    settings,
    logger,
    databaseUrl,
    rpcUrls: urls,
    vault,
    finality: finalityOf(settings, chainId),
    publicRpcUrl: undefined,
  });
}

async function main(): Promise<void> {
  const name = process.argv[2] ?? '';
  const start = SERVICES[name];
  if (start === undefined) {
    process.stderr.write(`Which service? One of ${Object.keys(SERVICES).join(', ')}; got "${name}".\n`);
    process.exit(2);
  }
  const abort = new AbortController();
  const signalled = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      abort.abort(new Error(`${signal} before the service had started`));
      signalled.resolve();
    });
  }
  let code = 0;
  try {
    const context = await openContext(readSettings(process.env), name);
    const metrics = new Registry();
    const running = await start(context, abort.signal, metrics);
    const operations = createOperationsServer({
      registry: metrics,
      logger: context.logger,
      checks: running.checks,
    });
    const url = await operations.listen({ host: context.settings.HOST, port: context.settings.OPERATIONS_PORT });
    context.logger.info({ operations: url }, `${name} runs`);
    await Promise.race([signalled.promise, running.done]).catch((error: unknown) => {
      context.logger.fatal({ err: error }, `${name} had to stop`);
      code = 1;
    });
    await operations.close();
    await running.stop();
    await context.close();
  } catch (error) {
    if (!abort.signal.aborted) {
      process.stderr.write(`${error instanceof ExchangeError ? `${error.code}: ${error.message}` : String(error)}\n`);
      code = 1;
    }
  }
  process.exit(code);
}

await main();
