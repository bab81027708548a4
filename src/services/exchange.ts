/**
 * The whole exchange in one process, over the in-process transport: engine, gateway, settlement, indexer, projector, reconciliation.
 * Production runs the same parts as processes of their own, over Redis.
 *
 * Order of start: what others wait for first. Order of stop: no new commands, then what is under way, then what records it.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { privateKeyToAddress } from 'viem/accounts';
import { createOperationsServer } from '../api/operations-server.ts';
import type { Finality } from '../chain/finality.ts';
import { recoveryWarning } from '../chain/recover.ts';
import { createRpcPool } from '../chain/rpc-pool.ts';
import type { Address, Hex } from '../domain/units.ts';
import { startIndexer } from '../indexer/run-indexer.ts';
import { createStoredVaultReader } from '../indexer/vault-reader.ts';
import { createInProcessTransport } from '../messaging/in-process.ts';
import { startReconciler } from '../reconciliation/run-reconciler.ts';
import { createLocalTransactionSigner } from '../settlement/signers.ts';
import { createSubmitter } from '../settlement/submitter.ts';
import { migrate, openDatabase } from '../storage/database.ts';
import { PostgresJournalReader } from '../storage/journal/read-journal.ts';
import { Projector } from '../storage/projections/projector.ts';
import { PostgresSnapshots } from '../storage/snapshots.ts';
import type { Settings } from './config.ts';
import { ENGINE_FORM } from './engine-form.ts';
import { startEngineService } from './engine-service.ts';
import { startGatewayService } from './gateway-service.ts';
import { readChainFacts } from './vault-place.ts';

export type ExchangeOptions = {
  readonly settings: Settings;
  readonly databaseUrl: string;
  readonly rpcUrls: readonly string[];
  readonly vault: Address;
  readonly engineKey: Hex;
  readonly submitterKey: Hex;
  readonly apiKeySecret: string;
  readonly finality: Finality;
  /** A node that browsers may use; none when undefined. */
  readonly publicRpcUrl: string | undefined;
  readonly logger: Logger;
};

export type Exchange = {
  readonly url: string;
  readonly operationsUrl: string;
  /** Rejects when a part had to stop by itself; then the process must end. */
  readonly done: Promise<void>;
  readonly stop: () => Promise<void>;
};

export async function startExchange(options: ExchangeOptions): Promise<Exchange> {
  const { settings, logger, rpcUrls, vault } = options;
  const warning = recoveryWarning();
  if (warning !== undefined) logger.warn(warning);
  await migrate(options.databaseUrl);
  const chain = await readChainFacts({
    rpcUrl: rpcUrls[0] ?? '',
    vault,
    engine: privateKeyToAddress(options.engineKey).toLowerCase() as Address,
    publicRpcUrl: options.publicRpcUrl,
  });
  const owner = `${hostname()}:${process.pid}:${randomUUID()}`;
  const pool = (applicationName: string, connectionsMax: number) =>
    openDatabase({
      url: options.databaseUrl,
      applicationName: `tallystick-${applicationName}`,
      connectionsMax,
      onIdleError: (error) => logger.warn({ err: error }, 'an idle database connection was lost'),
    });
  // The engine's connections are its own: nothing else may keep a commit waiting.
  const enginePool = pool('engine', 6);
  const sharedPool = pool('services', 16);
  const rpc = createRpcPool(rpcUrls);
  const warn = (message: string, error: unknown): void => logger.warn({ err: error }, message);
  const transport = createInProcessTransport({ onProblem: ({ message, cause }) => warn(message, cause) });

  const projector = new Projector({
    pool: sharedPool,
    journal: new PostgresJournalReader(sharedPool),
    snapshots: new PostgresSnapshots({ pool: sharedPool }),
    form: ENGINE_FORM,
    onProblem: ({ message, cause }) => warn(message, cause),
  });
  const submitter = createSubmitter({
    pool: sharedPool,
    rpc,
    chainId: chain.chainId,
    vault,
    deploymentBlock: chain.deploymentBlock,
    signer: createLocalTransactionSigner(options.submitterKey),
    finality: options.finality,
    owner,
    pollIntervalMs: 500,
    onWarning: warn,
  });
  projector.start();
  const engine = await startEngineService({
    pool: enginePool,
    transport,
    chain,
    engineKey: options.engineKey,
    settings,
    owner,
    logger,
    onJournaled: () => projector.wake(),
    onPublished: () => submitter.wake(),
  });
  const reconciler = startReconciler({
    pool: sharedPool,
    rpc,
    vault,
    haltWithdrawals: (reason) => engine.submitOperator({ kind: 'haltWithdrawals', reason }),
    onReport: (report) => logger.info({ ...report, solvency: undefined }, 'reconciled'),
    onWarning: warn,
  });
  submitter.start();
  const indexer = startIndexer({
    pool: sharedPool,
    rpcUrls,
    place: { vault, deploymentBlock: chain.deploymentBlock },
    reader: await createStoredVaultReader(sharedPool, vault),
    finality: options.finality,
    onStored: () => {
      engine.wakeFeed();
      submitter.wake();
      reconciler.wake();
    },
    onWarning: warn,
  });
  const metrics = new Registry();
  const gateway = await startGatewayService({
    pool: sharedPool,
    transport,
    chain,
    settings,
    apiKeySecret: options.apiKeySecret,
    logger,
    metrics,
  });
  const operations = createOperationsServer({
    registry: metrics,
    logger,
    checks: {
      database: async () => void (await sharedPool.query('SELECT 1')),
      chain: async () => {
        const { state, lastError } = indexer.status();
        if (state !== 'following') throw new Error(`the indexer is ${state}: ${lastError ?? 'starting'}`);
      },
      settlement: async () => {
        const { waitingFor } = submitter.status();
        if (waitingFor !== undefined) throw new Error(`settlement waits: ${waitingFor}`);
      },
      market_data: async () => {
        if (!gateway.marketData.synced) throw new Error('the books are not in step with the engine');
      },
    },
  });
  const operationsUrl = await operations.listen({ host: settings.HOST, port: settings.OPERATIONS_PORT });

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
    await Promise.all([enginePool.end(), sharedPool.end()]);
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
