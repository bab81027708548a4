/**
 * The whole exchange in one process, over the in-process transport: engine, gateway, settlement, indexer, projector, reconciliation.
 * Production runs the same parts as processes of their own, over Redis: see `run.ts`.
 *
 * Order of start: what others wait for first. Order of stop: no new commands, then what is under way, then what records it.
 */
import { Registry } from 'prom-client';
import { createOperationsServer } from '../api/operations-server.ts';
import { recoveryWarning } from '../chain/recover.ts';
import { createInProcessTransport } from '../messaging/in-process.ts';
import { observeSettlement } from '../settlement/metrics.ts';
import type { EngineSigner, TransactionSigner } from '../settlement/signers.ts';
import { migrate } from '../storage/database.ts';
import {
  createSettlementService,
  startIndexerService,
  startProjectorService,
  startReconciliationService,
} from './background-services.ts';
import { observeIndexer, observeReconciliation } from './chain-metrics.ts';
import { checkClock, observeEngine } from './engine-metrics.ts';
import { startEngineService } from './engine-service.ts';
import { startGatewayService } from './gateway-service.ts';
import type { ProcessContext } from './process-context.ts';

export type ExchangeOptions = {
  readonly context: ProcessContext;
  readonly engineSigner: EngineSigner;
  readonly transactionSigner: TransactionSigner;
  readonly apiKeySecret: string;
};

export type Exchange = {
  readonly url: string;
  readonly operationsUrl: string;
  /** Rejects when a part had to stop by itself; then the process must end. */
  readonly done: Promise<void>;
  readonly stop: () => Promise<void>;
};

export async function startExchange(options: ExchangeOptions): Promise<Exchange> {
  const { context } = options;
  const { settings, logger, chain, warn } = context;
  const warning = recoveryWarning();
  if (warning !== undefined) logger.warn(warning);
  await migrate(context.databaseUrl);
  // The engine's connections are its own: nothing else may keep a commit waiting.
  const enginePool = context.openPool('engine', 6);
  const pool = context.openPool('services', 16);
  const transport = createInProcessTransport({ onProblem: ({ message, cause }) => warn(message, cause) });

  const projector = startProjectorService(context, pool);
  const submitter = createSettlementService(context, pool, options.transactionSigner);
  const engine = await startEngineService({
    context,
    pool: enginePool,
    transport,
    engineSigner: options.engineSigner,
    onJournaled: (row) => projector.offer(row),
    onPublished: () => submitter.wake(),
  });
  const reconciler = startReconciliationService(context, pool, (reason) =>
    engine.submitOperator({ kind: 'haltWithdrawals', reason }),
  );
  submitter.start();
  const indexer = await startIndexerService(context, pool, () => {
    engine.wakeFeed();
    submitter.wake();
    reconciler.wake();
  });
  const metrics = new Registry();
  observeSettlement(metrics, submitter, pool);
  observeEngine(metrics, engine);
  observeIndexer(metrics, indexer);
  observeReconciliation(metrics, reconciler);
  const gateway = await startGatewayService({
    context,
    pool,
    transport,
    apiKeySecret: options.apiKeySecret,
    metrics,
  });
  const operations = createOperationsServer({
    registry: metrics,
    logger,
    checks: {
      database: async () => void (await pool.query('SELECT 1')),
      chain: async () => {
        const { state, lastError } = indexer.status();
        if (state !== 'following') throw new Error(`the indexer is ${state}: ${lastError ?? 'starting'}`);
      },
      settlement: async () => {
        const { waitingFor } = submitter.status();
        if (waitingFor !== undefined) throw new Error(`settlement waits: ${waitingFor}`);
      },
      clock: () => checkClock(engine),
      market_data: async () => {
        if (!gateway.marketData.synced) throw new Error('the books are not in step with the engine');
      },
    },
  });
  const operationsUrl = await operations.listen({ host: settings.HOST, port: settings.OPERATIONS_PORT });
  logger.info({ url: gateway.url, vault: chain.vault, chainId: chain.chainId }, 'the exchange runs');

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await gateway.stop();
    await engine.stop();
    await submitter.stop();
    await indexer.stop();
    await reconciler.stop();
    await projector.stop();
    await operations.close();
    await transport.close();
    await context.close();
  };
  const done = Promise.race([engine.done, indexer.done]);
  done.catch(() => undefined);
  return {
    url: gateway.url,
    operationsUrl,
    done,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}
