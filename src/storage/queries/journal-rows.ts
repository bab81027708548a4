/** The journal as it is published to auditors: rows unchanged, by range. */
import type { JournalRow } from '../../domain/journal.ts';
import type { JournalSequence } from '../../domain/units.ts';
import { fromStored, ROW_COLUMNS, type StoredRow } from '../journal/rows.ts';
import type { Queryable } from './rows.ts';

/** Rows from the one that contains `fromSequence` on, in order, at most `limit`, committed at least `olderThanMs` ago. Not verified. */
export async function journalRows(
  db: Queryable,
  range: { readonly fromSequence: JournalSequence; readonly limit: number; readonly olderThanMs?: number },
): Promise<readonly JournalRow[]> {
  const { rows } = await db.query<StoredRow>(
    `SELECT ${ROW_COLUMNS} FROM journal WHERE last_sequence >= $1 AND committed_at <= clock_timestamp() - $3::float8 * interval '1 millisecond'
      ORDER BY last_sequence LIMIT $2`,
    [range.fromSequence, range.limit, range.olderThanMs ?? 0],
  );
  return rows.map(fromStored);
}

/** The row that contains the command at `sequence`; undefined when it was not journaled yet. */
export async function findJournalRow(
  db: Queryable,
  sequence: JournalSequence,
  olderThanMs = 0,
): Promise<JournalRow | undefined> {
  const [row] = await journalRows(db, { fromSequence: sequence, limit: 1, olderThanMs });
  return row;
}
