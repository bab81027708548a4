/** Reading the journal: rows in order by primary key, and single commands by their sequence. */
import type pg from 'pg';
import type { SequencedCommand } from '../../domain/commands.ts';
import type { JournalRow } from '../../domain/journal.ts';
import { corrupt, pickCommands } from '../../offchain-engine/sequencer/journal-row.ts';
import type { JournalReader } from '../../offchain-engine/sequencer/ports.ts';
import { fromStored, ROW_COLUMNS, type StoredRow } from './rows.ts';

/** Rows per page: a row holds at most a group commit, so that a page stays within some ten megabytes. */
const PAGE_ROWS = 64;
/** How long reading keeps the thread at most, one row apart. */
const TASK_MAX_MS = 4;

export class PostgresJournalReader implements JournalReader {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async *rowsFrom(sequence: number): AsyncGenerator<JournalRow, void, undefined> {
    for (let next = sequence; ; ) {
      const page = await this.#pool.query<StoredRow>({
        name: 'journal-page',
        text: `SELECT ${ROW_COLUMNS} FROM journal WHERE last_sequence >= $1 ORDER BY last_sequence LIMIT ${PAGE_ROWS}`,
        values: [next],
      });
      for (const stored of page.rows) {
        yield fromStored(stored);
        next = stored.last_sequence + 1;
      }
      if (page.rows.length < PAGE_ROWS) return;
    }
  }

  async lastRow(): Promise<JournalRow | undefined> {
    const last = await this.#pool.query<StoredRow>(
      `SELECT ${ROW_COLUMNS} FROM journal ORDER BY last_sequence DESC LIMIT 1`,
    );
    return last.rows[0] === undefined ? undefined : fromStored(last.rows[0]);
  }

  /** The row that holds the command `sequence`, undefined when the journal does not reach so far. Not verified. */
  async rowOf(sequence: number): Promise<JournalRow | undefined> {
    const found = await this.#pool.query<StoredRow>(
      `SELECT ${ROW_COLUMNS} FROM journal WHERE last_sequence >= $1 ORDER BY last_sequence LIMIT 1`,
      [sequence],
    );
    const stored = found.rows[0];
    return stored === undefined || stored.first_sequence > sequence ? undefined : fromStored(stored);
  }

  /** @throws ExchangeError JOURNAL_CORRUPT when the command is not there or its row does not verify. */
  async readCommand(sequence: number): Promise<SequencedCommand> {
    const commands = await this.readCommands([sequence]);
    return commands.get(sequence) ?? corrupt('missing_row', sequence, 'the journal does not hold this command');
  }

  /**
   * Commands by their sequence, each row read and its hash checked once.
   * @throws ExchangeError JOURNAL_CORRUPT when one is not there or its row does not verify.
   */
  async readCommands(sequences: Iterable<number>): Promise<ReadonlyMap<number, SequencedCommand>> {
    const wanted = new Set(sequences);
    const found = new Map<number, SequencedCommand>();
    const rows = await this.#pool.query<StoredRow>(
      `SELECT DISTINCT ON (held.last_sequence) held.*
         FROM unnest($1::bigint[]) AS wanted (sequence)
        CROSS JOIN LATERAL (
          SELECT ${ROW_COLUMNS} FROM journal WHERE last_sequence >= wanted.sequence ORDER BY last_sequence LIMIT 1
        ) AS held`,
      [[...wanted]],
    );
    let yieldedMs = performance.now();
    for (const stored of rows.rows) {
      for (const sequenced of pickCommands(fromStored(stored), wanted)) found.set(sequenced.sequence, sequenced);
      // A batch's orders may lie in hundreds of rows, and whoever shares this thread must not wait for all of them.
      if (performance.now() - yieldedMs > TASK_MAX_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        yieldedMs = performance.now();
      }
    }
    for (const sequence of wanted) {
      if (!found.has(sequence)) corrupt('missing_row', sequence, 'the journal does not hold this command');
    }
    return found;
  }
}
