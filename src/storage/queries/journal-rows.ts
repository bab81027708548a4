/** The journal as it is published to auditors: rows unchanged, by range. */
import type { JournalRow } from '../../domain/journal.ts';
import type { JournalSequence, TimestampMs } from '../../domain/units.ts';
import { hexOf, integer, type Queryable, type SqlInteger } from './rows.ts';

/** Rows from the one that contains `fromSequence` on, in order, at most `limit`. */
export async function journalRows(
  db: Queryable,
  range: { readonly fromSequence: JournalSequence; readonly limit: number },
): Promise<readonly JournalRow[]> {
  const { rows } = await db.query<JournalSql>(
    'SELECT * FROM journal WHERE last_sequence >= $1 ORDER BY last_sequence LIMIT $2',
    [range.fromSequence, range.limit],
  );
  return rows.map(journalRowOf);
}

/** The row that contains the command at `sequence`; undefined when it was not journaled yet. */
export async function findJournalRow(db: Queryable, sequence: JournalSequence): Promise<JournalRow | undefined> {
  const [row] = await journalRows(db, { fromSequence: sequence, limit: 1 });
  return row;
}

type JournalSql = {
  first_sequence: SqlInteger;
  last_sequence: SqlInteger;
  epoch: SqlInteger;
  rules_version: number;
  body: Buffer;
  previous_hash: Buffer;
  merkle_root: Buffer;
  hash: Buffer;
  committed_at: Date;
};

function journalRowOf(row: JournalSql): JournalRow {
  return {
    firstSequence: integer<JournalSequence>(row.first_sequence),
    lastSequence: integer<JournalSequence>(row.last_sequence),
    epoch: integer(row.epoch),
    rulesVersion: row.rules_version,
    body: row.body,
    previousHash: hexOf(row.previous_hash),
    merkleRoot: hexOf(row.merkle_root),
    hash: hexOf(row.hash),
    committedAtMs: row.committed_at.getTime() as TimestampMs,
  };
}
