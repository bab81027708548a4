/** How far projections, chain and settlement have come, and waiting for the projections to contain a command. */
import type { ChainEventSequence, JournalSequence, TimestampMs } from '../../domain/units.ts';
import { integer, optionalInteger, type Queryable, type SqlInteger } from './rows.ts';

export type ProjectionCursor = {
  /** Last command that the projections contain. */
  readonly journalSequence: JournalSequence;
  /** Last vault event that they contain. */
  readonly chainEventSequence: ChainEventSequence;
};

export async function projectionCursor(db: Queryable): Promise<ProjectionCursor> {
  const { rows } = await db.query<{ journal_sequence: SqlInteger; chain_event_sequence: SqlInteger }>(
    'SELECT journal_sequence, chain_event_sequence FROM projection_cursor',
  );
  return {
    journalSequence: integer<JournalSequence>(rows[0]?.journal_sequence ?? 0),
    chainEventSequence: integer<ChainEventSequence>(rows[0]?.chain_event_sequence ?? 0),
  };
}

export type ExchangeProgress = ProjectionCursor & {
  /** Last command in the journal. */
  readonly journalHead: JournalSequence;
  readonly chainHeadBlock: number | undefined;
  readonly chainFinalBlock: number | undefined;
  /** Vault events seen, final or not. */
  readonly chainEventHead: ChainEventSequence;
  readonly batchesSealed: number;
  /** Time of the oldest trade that is neither final nor voided. */
  readonly oldestUnsettledTradeMs: TimestampMs | undefined;
};

/** Figures for the status page and for readiness, read in one statement. */
export async function exchangeProgress(db: Queryable): Promise<ExchangeProgress> {
  const { rows } = await db.query<ProgressSql>(
    `SELECT c.journal_sequence, c.chain_event_sequence,
       (SELECT coalesce(max(last_sequence), 0) FROM journal) AS journal_head,
       (SELECT max(number) FROM chain_blocks) AS head_block,
       (SELECT number FROM chain_blocks WHERE final ORDER BY number DESC LIMIT 1) AS final_block,
       (SELECT coalesce(max(event_sequence), 0) FROM chain_events) AS event_head,
       (SELECT greatest((SELECT max(batch_id) FROM pending_batches), (SELECT max(batch_id) FROM settlements WHERE state IN ('included', 'final')), 0))
         AS batches_sealed,
       (SELECT created_at_ms FROM trades WHERE state IN ('matched', 'batched') ORDER BY trade_id LIMIT 1) AS oldest_ms
     FROM projection_cursor c`,
  );
  const row = rows[0];
  if (row === undefined) throw new Error('projection_cursor has no row: the database was not migrated');
  return {
    journalSequence: integer<JournalSequence>(row.journal_sequence),
    chainEventSequence: integer<ChainEventSequence>(row.chain_event_sequence),
    journalHead: integer<JournalSequence>(row.journal_head),
    chainHeadBlock: optionalInteger(row.head_block),
    chainFinalBlock: optionalInteger(row.final_block),
    chainEventHead: integer<ChainEventSequence>(row.event_head),
    batchesSealed: integer(row.batches_sealed),
    oldestUnsettledTradeMs: optionalInteger<TimestampMs>(row.oldest_ms),
  };
}

/** One per process: reads the cursor once per `POLL_MS` however many wait, and not at all when nobody does. */
export class ProjectionWaiter {
  private readonly db: Queryable;
  private readonly waiting = new Set<{ readonly sequence: number; readonly finish: (reached: boolean) => void }>();
  private polling = false;
  private reached = 0;

  constructor(db: Queryable) {
    this.db = db;
  }

  /** True once the projections contain the command at `sequence`; false when `timeoutMs` passed first. */
  waitFor(sequence: JournalSequence, timeoutMs: number): Promise<boolean> {
    if (sequence <= this.reached) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter = {
        sequence,
        finish: (reached: boolean): void => {
          clearTimeout(timer);
          this.waiting.delete(waiter);
          resolve(reached);
        },
      };
      const timer = setTimeout(() => waiter.finish(false), timeoutMs);
      this.waiting.add(waiter);
      if (!this.polling) void this.poll();
    });
  }

  /** Ends when nobody waits any more. A failed read counts as not reached: the waiters' own timeouts decide. */
  private async poll(): Promise<void> {
    this.polling = true;
    while (this.waiting.size > 0) {
      try {
        this.reached = (await projectionCursor(this.db)).journalSequence;
      } catch {
        this.reached = 0;
      }
      for (const waiter of this.waiting) if (waiter.sequence <= this.reached) waiter.finish(true);
      if (this.waiting.size > 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    this.polling = false;
  }
}

const POLL_MS = 5;

type ProgressSql = {
  journal_sequence: SqlInteger;
  chain_event_sequence: SqlInteger;
  journal_head: SqlInteger;
  head_block: SqlInteger | null;
  final_block: SqlInteger | null;
  event_head: SqlInteger;
  batches_sealed: SqlInteger;
  oldest_ms: SqlInteger | null;
};
