/** Sealed batches go to the outbox in order, tried again while the database is away; anything else that fails ends the process. */
import type { Pool } from 'pg';
import { inspectVault } from '../chain/inspect-vault.ts';
import type { SealedBatch } from '../domain/batches.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { AppliedCommand } from '../domain/events.ts';
import type { JournalRow } from '../domain/journal.ts';
import type { Address, Hash } from '../domain/units.ts';
import type { Engine } from '../offchain-engine/engine.ts';
import type { JournalReader } from '../offchain-engine/sequencer/ports.ts';
import { createJournalCommands } from '../settlement/journal-commands.ts';
import { createPublisher, type Publisher } from '../settlement/publish-batch.ts';
import type { EngineSigner } from '../settlement/signers.ts';
import { isDatabaseTrouble } from '../storage/database-trouble.ts';
import type { ProcessContext } from './process-context.ts';
import { requireActiveKey } from './vault-place.ts';

const PUBLISH_RETRY_MS = 500;

export type BatchPublishingOptions = {
  readonly context: ProcessContext;
  readonly pool: Pool;
  readonly journal: Pick<JournalReader, 'rowsFrom'>;
  readonly engineSigner: EngineSigner;
  readonly engine: () => Engine | undefined;
  /** A batch is in the outbox. */
  readonly onPublished: (() => void) | undefined;
  readonly onFailed: (error: unknown) => void;
};

export type BatchPublishing = {
  /** What was in flight when this process took over, oldest first. */
  readonly publishAll: (inFlight: readonly SealedBatch[]) => void;
  /** What the commands of a row sealed, or told again. */
  readonly publishSealed: (applied: readonly AppliedCommand[], row: JournalRow) => void;
  /** Of the content that the batch was published with; undefined while it is not. */
  readonly contentHashOf: Publisher['contentHashOf'];
  /** Resolves when what can be published is. */
  readonly stop: () => Promise<void>;
};

export function createBatchPublishing(options: BatchPublishingOptions): BatchPublishing {
  const { pool, journal, engine } = options;
  const { chain, logger } = options.context;
  // Made with the first batch: an engine leads, and orders match, while no node answers.
  const makePublisher = async (): Promise<Publisher> =>
    createPublisher({
      pool,
      domain: chain.domain,
      signer: options.engineSigner,
      readCommands: createJournalCommands(pool),
      market: (index) => engine()?.core.markets[index]?.market,
      epochMin: await readVaultEpoch(options.context, options.engineSigner.address),
    });
  let publisher: Publisher | undefined;
  let last: Promise<void> = Promise.resolve();
  let stopping = false;

  const publishOne = async (batch: SealedBatch, seal: Seal | undefined): Promise<void> => {
    for (;;) {
      try {
        publisher ??= await makePublisher();
        await publisher.publish({ batch, ...(seal ?? (await readSeal(journal, batch))) });
        options.onPublished?.();
        return;
      } catch (error) {
        if (!(error instanceof ExchangeError && error.retryable) && !isDatabaseTrouble(error)) throw error;
        // The next leader publishes what is left.
        if (stopping) return;
        logger.warn({ err: error, batchId: batch.batchId }, 'the batch could not be published; trying again');
        await new Promise((resolve) => setTimeout(resolve, PUBLISH_RETRY_MS));
      }
    }
  };
  const publish = (batch: SealedBatch, seal: Seal | undefined): void => {
    last = last.then(() => publishOne(batch, seal)).catch(options.onFailed);
  };
  return {
    publishAll(inFlight) {
      for (const batch of inFlight) publish(batch, undefined);
    },
    publishSealed(applied, row) {
      for (const { events, sequence, timestampMs } of applied) {
        for (const event of events) {
          if (event.kind === 'batchFinal') publisher?.forgetBefore(event.batchId);
          if (event.kind !== 'batchSealed') continue;
          // One that another cut's end tells again was sealed by an earlier row.
          const isSealedHere = event.batch.journalSequence === sequence;
          publish(event.batch, isSealedHere ? { journalHash: row.hash, sealedAtMs: timestampMs } : undefined);
        }
      }
    },
    contentHashOf: (batch) => publisher?.contentHashOf(batch),
    stop: () => {
      stopping = true;
      return last;
    },
  };
}

type Seal = { readonly journalHash: Hash; readonly sealedAtMs: number };

async function readSeal(journal: Pick<JournalReader, 'rowsFrom'>, batch: SealedBatch): Promise<Seal> {
  for await (const row of journal.rowsFrom(batch.journalSequence))
    return { journalHash: row.hash, sealedAtMs: row.committedAtMs };
  throw new ExchangeError('JOURNAL_CORRUPT', `the journal has no row with command ${batch.journalSequence}`);
}

/**
 * The oldest epoch whose batches the vault takes.
 * @throws ExchangeError CONFIGURATION when the vault takes batches from another key: ours was revoked since the process started
 */
function readVaultEpoch({ rpc, chain }: ProcessContext, ours: Address): Promise<number> {
  return rpc.run(async (endpoint) => {
    const head = (await endpoint.request('eth_getBlockByNumber', ['latest', false])) as { hash: Hash };
    const { epoch, engineKey } = await inspectVault(endpoint, chain.vault, [], head.hash);
    requireActiveKey(engineKey, ours);
    return epoch;
  });
}
