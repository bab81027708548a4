/**
 * The projector: replays the journal through its own engine and keeps the read models in PostgreSQL up to it. Where the leading engine
 * runs in the same process, rows come from it instead (`offer`) as soon as the projector has come close, and it keeps no engine.
 *
 * Invariants
 * 1. Exactly once. The rows of a run of commands and the cursor behind them are written by one transaction, and the cursor moves
 *    only from where this projector's engine stood before the run. A second projector, or this one after an answer that was lost,
 *    is refused by that condition and starts again from the cursor.
 * 2. Rebuildable. Tables depend on the journal alone; from nothing they come out the same (see `changes.ts`).
 * 3. Bounded. A run holds about `RUN_COMMANDS` commands; the next is read when it has been written.
 *
 * One works at a time, held by an advisory lock of its connection; others wait for the lock and take over at the cursor. The lock
 * only saves work: invariant 1 does not need it.
 */
import type { Pool, PoolClient } from 'pg';
import type { AppliedCommand } from '../../domain/events.ts';
import type { Market, MarketParameters } from '../../domain/markets.ts';
import { corrupt } from '../../offchain-engine/sequencer/journal-row.ts';
import type {
  EngineForm,
  JournalReader,
  ProblemListener,
  SequencedEngine,
  SnapshotStore,
} from '../../offchain-engine/sequencer/ports.ts';
import { Replica } from '../../offchain-engine/sequencer/replica.ts';
import { projectionCursor } from '../queries/progress.ts';
import { ProjectionChanges, type ProjectionContext } from './changes.ts';
import { type LiveRow, LiveRows } from './live-rows.ts';
import { BoundedJournal, type ObservedEngine, observed, snapshotsUpTo } from './replay-source.ts';
import { writeChanges } from './write-changes.ts';

export type ProjectorOptions<Engine extends SequencedEngine> = {
  readonly pool: Pool;
  readonly journal: JournalReader;
  readonly snapshots: SnapshotStore;
  readonly form: EngineForm<Engine>;
  readonly onProblem: ProblemListener;
  /** How often the journal is looked at when nobody calls `wake`. */
  readonly pollMs?: number;
};

const POLL_MS = 50;
const RUN_COMMANDS = 2_000;
/** How long gathering keeps the thread at most, one row apart. */
const TASK_MAX_MS = 4;
/**
 * After a run the next commands gather for so many times as long as it took, at most so long: a run costs the same for few commands
 * as for many, an account's balance is written once in it however often it changed, and projecting keeps a fifth of a processor at most.
 */
const REST_PER_RUN = 4;
const REST_MAX_MS = 150;
/** Doubled with each failure in a row: a journal that does not verify would be replayed for nothing again and again. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 15_000;
const STANDBY_MS = 500;
/** Rows that the journal has for so long, and the engine in this process has not offered, are another leader's. */
const OFFER_LATE_MS = 2_000;
/** Any number that nothing else locks in this database. */
const LOCK = 7_425_001;

export class Projector<Engine extends SequencedEngine> {
  private readonly options: ProjectorOptions<Engine>;
  private changes: ProjectionChanges | undefined;
  private replica: Replica<ObservedEngine<Engine>> | undefined;
  private stopping = false;
  private loop: Promise<void> | undefined;
  private readonly live = new LiveRows();
  private wakeUp: () => void = () => undefined;
  private woken = false;
  private runsWritten = 0;
  private readonly stopped = Promise.withResolvers<void>();

  constructor(options: ProjectorOptions<Engine>) {
    this.options = options;
  }

  start(): void {
    this.loop ??= this.run();
  }

  /** Finishes the run under way. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.stopped.resolve();
    this.wake();
    await this.loop;
  }

  /** A row that the leading engine, in this process, has journaled and applied; in journal order. Never required: see `LiveRows`. */
  offer(row: LiveRow): void {
    this.live.offer(row);
    this.wake();
  }

  private wake(): void {
    this.woken = true;
    this.wakeUp();
  }

  private async run(): Promise<void> {
    let retryMs = RETRY_FIRST_MS;
    while (!this.stopping) {
      const before = this.runsWritten;
      try {
        const client = await this.options.pool.connect();
        // Between two queries the loss of a connection is an event; the next query fails and says so.
        client.on('error', ignore);
        let broken = true;
        try {
          if (await tryLock(client)) await this.follow(client);
          else await this.unlessStopped(STANDBY_MS);
          await unlock(client);
          broken = false;
        } finally {
          client.off('error', ignore);
          // It may hold the lock or an open transaction: then it is closed, not given back.
          client.release(broken);
        }
      } catch (cause) {
        this.options.onProblem({ message: 'the projector starts again from its cursor', cause });
        if (this.runsWritten > before) retryMs = RETRY_FIRST_MS;
        await this.unlessStopped(retryMs);
        retryMs = Math.min(2 * retryMs, RETRY_MAX_MS);
      } finally {
        this.replica = undefined;
        this.changes = undefined;
        this.live.follow(false);
      }
    }
  }

  private async follow(client: PoolClient): Promise<void> {
    const { context, cursor } = await readStart(client);
    this.live.follow(true);
    let position: number = cursor;
    let lateSinceMs: number | undefined;
    while (!this.stopping) {
      this.woken = false;
      const beganMs = performance.now();
      const changes = new ProjectionChanges(context);
      const isLive = await this.gather(changes, position, lateSinceMs);
      if (changes.commands === 0) {
        await this.untilWoken(this.options.pollMs ?? POLL_MS);
        const isLate = isLive && !this.woken && (await this.isBehindJournal(position));
        lateSinceMs = isLate ? (lateSinceMs ?? performance.now()) : undefined;
      } else {
        await commit(client, position, changes);
        position = changes.lastSequence;
        this.runsWritten++;
        // Rows come: whatever was awaited has been offered since, or is found in the journal at once.
        lateSinceMs = undefined;
        if (changes.commands < RUN_COMMANDS) {
          await this.unlessStopped(Math.min(REST_PER_RUN * (performance.now() - beganMs), REST_MAX_MS));
        }
      }
    }
  }

  /** The run after `position`: from the engine in this process (true) or from the journal (false). */
  private async gather(
    changes: ProjectionChanges,
    position: number,
    lateSinceMs: number | undefined,
  ): Promise<boolean> {
    const isLate = lateSinceMs !== undefined && performance.now() - lateSinceMs > OFFER_LATE_MS;
    const rows = isLate ? undefined : this.live.takeAfter(position, RUN_COMMANDS);
    if (rows === undefined) {
      this.replica ??= await this.replicaAt(position);
      this.changes = changes;
      await this.replica.catchUp();
      return false;
    }
    this.replica = undefined;
    let yieldedMs = performance.now();
    for (const { commands, applied } of rows) {
      // The engine and the API share this thread.
      if (performance.now() - yieldedMs > TASK_MAX_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        yieldedMs = performance.now();
      }
      for (const [index, sequenced] of commands.entries()) changes.add(sequenced, applied[index] as AppliedCommand);
    }
    return true;
  }

  private async isBehindJournal(position: number): Promise<boolean> {
    for await (const _row of this.options.journal.rowsFrom(position + 1)) return true;
    return false;
  }

  /** An engine that has applied exactly the commands up to `sequence`, which ends a row. */
  private async replicaAt(sequence: number): Promise<Replica<ObservedEngine<Engine>>> {
    this.changes = undefined;
    const { journal, snapshots, form, onProblem } = this.options;
    const bounded = new BoundedJournal(journal, (row) =>
      this.changes === undefined ? row.lastSequence <= sequence : this.changes.commands < RUN_COMMANDS,
    );
    const replica = await Replica.recover({
      journal: bounded,
      snapshots: snapshotsUpTo(snapshots, sequence),
      form: observed(form, (sequenced, applied) => this.changes?.add(sequenced, applied)),
      onProblem,
    });
    if (replica.engine.lastSequence !== sequence) {
      corrupt('missing_row', sequence, 'the projections stand there, but no journal row ends there');
    }
    return replica;
  }

  private async unlessStopped(durationMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, durationMs);
    });
    await Promise.race([over, this.stopped.promise]);
    clearTimeout(timer);
  }

  private async untilWoken(longestMs: number): Promise<void> {
    if (this.woken) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, longestMs);
      this.wakeUp = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/**
 * Empties every projection and sets the cursor to the beginning, in one transaction; a running projector notices and builds them
 * again from command 1.
 */
export async function clearProjections(pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(
      `TRUNCATE orders, trades, balances, deposits, withdrawals, exits, listed_assets, listed_markets, session_keys, trading_volumes,
         engine_status`,
    );
    await client.query('UPDATE projection_cursor SET journal_sequence = 0, chain_event_sequence = 0');
    await client.query('COMMIT');
    client.release();
  } catch (cause) {
    client.release(true);
    throw cause;
  }
}

async function commit(client: PoolClient, from: number, changes: ProjectionChanges): Promise<void> {
  // Whatever a crash of the server loses is replayed from the journal, rows and cursor alike.
  // Rows are found one by one, through their keys. A plan made while the tables were small would read them whole in every run, for as
  // long as it is kept.
  await client.query(
    'BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off',
  );
  const moved = await client.query({
    name: 'project-cursor',
    text: 'UPDATE projection_cursor SET journal_sequence = $2, chain_event_sequence = $3 WHERE journal_sequence = $1',
    values: [from, changes.lastSequence, changes.chainEventSequence],
  });
  if (moved.rowCount !== 1)
    throw new Error(`the cursor is no longer at ${from}: another projector, or a rebuild, moved it`);
  await writeChanges(client, changes);
  await client.query('COMMIT');
}

/** The cursor and what belongs to it, as one transaction left them. */
async function readStart(client: PoolClient): Promise<{ context: ProjectionContext; cursor: number }> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const markets = await client.query<{ definition: Market }>('SELECT definition FROM listed_markets');
  const genesis = await client.query<{ value: { defaultParameters: MarketParameters } }>(
    `SELECT value FROM engine_status WHERE name = 'genesis'`,
  );
  const { journalSequence, chainEventSequence } = await projectionCursor(client);
  await client.query('COMMIT');
  return {
    cursor: journalSequence,
    context: {
      markets: new Map(markets.rows.map(({ definition }) => [definition.index, definition])),
      defaultParameters: genesis.rows[0]?.value.defaultParameters,
      chainEventSequence,
    },
  };
}

async function tryLock(client: PoolClient): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [LOCK]);
  return rows[0]?.locked === true;
}

async function unlock(client: PoolClient): Promise<void> {
  await client.query('SELECT pg_advisory_unlock($1)', [LOCK]);
}

function ignore(): void {
  // Said by the query that follows.
}
