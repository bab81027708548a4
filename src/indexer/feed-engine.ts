/**
 * Hands final vault events to the engine, one command each, in the vault's numbering.
 *
 * Exactly once: the engine's state holds the number of the last event it applied, ignores one that it has and refuses a gap. So the feeder
 * keeps no cursor of its own: it asks the engine where it stands, and after any failure asks again and goes on from there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { ChainCommand } from '../domain/commands.ts';
import type { ChainEventSequence } from '../domain/units.ts';
import { decodeChainFact } from '../storage/chain-facts.ts';
import { openIncident } from '../storage/incidents.ts';

export type FeedOptions = {
  readonly pool: Pool;
  /** Number of the last event that the engine's journal holds. */
  readonly lastAppliedSequence: () => Promise<ChainEventSequence> | ChainEventSequence;
  /** Resolves once the command is committed to the journal. Called in order; several calls are in flight at once. */
  readonly submit: (command: ChainCommand) => Promise<void>;
  /** Commands in flight at once. */
  readonly inFlightMax?: number;
  /** Looks for new events this often even when nobody wakes it. */
  readonly pollIntervalMs?: number;
  readonly onWarning?: (message: string, error: unknown) => void;
};

export type Feed = {
  /** New final events may be there. Cheap; call it after every step of the indexer. */
  readonly wake: () => void;
  /** Resolves when what is being handed over is done. */
  readonly stop: () => Promise<void>;
};

export function startFeed(options: FeedOptions): Feed {
  const { pool, submit } = options;
  const inFlightMax = options.inFlightMax ?? 64;
  const pollIntervalMs = options.pollIntervalMs ?? 1_000;
  const abort = new AbortController();
  let bell = Promise.withResolvers<void>();

  /** @returns whether there may be more at once */
  const feedOnce = async (): Promise<boolean> => {
    const applied = await options.lastAppliedSequence();
    const commands = await beforeForeignBatch(pool, await readFinalEvents(pool, applied, inFlightMax));
    const outcomes = await Promise.allSettled(commands.map((command) => submit(command)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return commands.length === inFlightMax;
  };

  const loop = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      bell = Promise.withResolvers();
      try {
        if (await feedOnce()) continue;
      } catch (error) {
        options.onWarning?.('vault events could not be handed to the engine; trying again', error);
      }
      const timer = sleep(pollIntervalMs, undefined, { signal: abort.signal }).catch(() => undefined);
      await Promise.race([bell.promise, timer]);
    }
  };
  const done = loop();

  return {
    wake: () => bell.resolve(),
    stop: async () => {
      abort.abort();
      bell.resolve();
      await done;
    },
  };
}

/**
 * The commands up to the first settled batch that is none of the outbox's; without any, commands as they are. An id may have several contents
 * there, any of which may land. Only a stolen engine key can settle another. The ledger must not take it for its own: feeding rests, with an incident, until
 * people have decided.
 * @throws Error when the first command is such a batch
 */
async function beforeForeignBatch(pool: Pool, commands: readonly ChainCommand[]): Promise<readonly ChainCommand[]> {
  for (const [index, command] of commands.entries()) {
    if (command.kind !== 'batchSettled') continue;
    const { rows } = await pool.query<{ content_hash: Buffer }>(
      'SELECT content_hash FROM batches WHERE batch_id = $1 ORDER BY journal_sequence',
      [command.batchId],
    );
    const sealed = rows.map((row) => `0x${row.content_hash.toString('hex')}`);
    if (sealed.includes(command.contentHash)) continue;
    if (index > 0) return commands.slice(0, index);
    const summary = `The vault settled other content as batch ${command.batchId} than the engine sealed`;
    const details = { batchId: command.batchId, settled: command.contentHash, sealed };
    await openIncident(pool, { kind: 'batch_other_content', summary, details });
    throw new Error(summary);
  }
  return commands;
}

/**
 * Final events after `applied`, gapless and in order, at most `limit`.
 * @throws Error when the stored numbering has a hole: the indexer never stores one, so the database was changed by someone else
 */
export async function readFinalEvents(pool: Pool, applied: number, limit: number): Promise<ChainCommand[]> {
  const { rows } = await pool.query<{ event_sequence: string; payload: unknown }>(
    `SELECT e.event_sequence, e.payload FROM chain_events e JOIN chain_blocks b ON b.number = e.block_number
      WHERE b.final AND e.event_sequence > $1 ORDER BY e.event_sequence LIMIT $2`,
    [applied, limit],
  );
  return rows.map((row, index) => {
    const eventSequence = Number(row.event_sequence) as ChainEventSequence;
    if (eventSequence !== applied + 1 + index) {
      throw new Error(`expected vault event ${applied + 1 + index} in chain_events, found ${eventSequence}`);
    }
    return { ...decodeChainFact(row.payload), eventSequence };
  });
}
