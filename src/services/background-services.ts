/** The services without a public face, each from the context and a pool: settlement, indexer, projector, reconciliation. */
import type { Pool } from 'pg';
import { ExchangeError } from '../domain/errors.ts';
import { type Indexer, startIndexer } from '../indexer/run-indexer.ts';
import { createStoredVaultReader } from '../indexer/vault-reader.ts';
import type { Engine } from '../offchain-engine/engine.ts';
import { type Reconciler, startReconciler } from '../reconciliation/run-reconciler.ts';
import type { TransactionSigner } from '../settlement/signers.ts';
import { createSubmitter, type Submitter } from '../settlement/submitter.ts';
import { PostgresJournalReader } from '../storage/journal/read-journal.ts';
import { Projector } from '../storage/projections/projector.ts';
import { PostgresSnapshots } from '../storage/snapshots.ts';
import { ENGINE_FORM } from './engine-form.ts';
import type { ProcessContext } from './process-context.ts';

/** Looks at the outbox this often when nobody wakes it. */
const SETTLEMENT_POLL_MS = 500;

export function createSettlementService(context: ProcessContext, pool: Pool, signer: TransactionSigner): Submitter {
  const { rpc, chain, finality, owner, warn } = context;
  return createSubmitter({
    pool,
    rpc,
    chainId: chain.chainId,
    vault: chain.vault,
    deploymentBlock: chain.deploymentBlock,
    signer,
    finality,
    owner,
    pollIntervalMs: SETTLEMENT_POLL_MS,
    onWarning: warn,
  });
}

/** @param onStored called after each step that was stored */
export async function startIndexerService(context: ProcessContext, pool: Pool, onStored: () => void): Promise<Indexer> {
  const { rpcUrls, chain, finality, warn } = context;
  return startIndexer({
    pool,
    rpcUrls,
    place: { vault: chain.vault, deploymentBlock: chain.deploymentBlock },
    reader: await createStoredVaultReader(pool, chain.vault),
    finality,
    onStored,
    onWarning: warn,
  });
}

export function startProjectorService(context: ProcessContext, pool: Pool): Projector<Engine> {
  const projector = new Projector({
    pool,
    journal: new PostgresJournalReader(pool),
    snapshots: new PostgresSnapshots({ pool }),
    form: ENGINE_FORM,
    onProblem: ({ message, cause }) => context.warn(message, cause),
  });
  projector.start();
  return projector;
}

export function startReconciliationService(
  context: ProcessContext,
  pool: Pool,
  haltWithdrawals: (reason: string) => Promise<void>,
): Reconciler {
  const { rpc, chain, logger, warn } = context;
  return startReconciler({
    pool,
    rpc,
    vault: chain.vault,
    haltWithdrawals,
    onReport: (report) => {
      const { batchId, blockNumber, accountsCompared, drift } = report;
      logger.info({ batchId, blockNumber, accountsCompared, drift: drift.length }, 'reconciled');
    },
    onWarning: (message, error) => {
      // A node that has forgotten the state of that block is asked again at the ledger's next step.
      if (error instanceof ExchangeError && error.retryable) logger.info({ err: error }, message);
      else warn(message, error);
    },
  });
}
