/** How far the journal is known to have reached, by what others wrote after reading it. */
import type { Pool } from 'pg';
import type { JournalSequence } from '../domain/units.ts';

/**
 * The last command that batches or projections name; 0 when there are none. A journal that ends before it has lost its tail: restored
 * from an older copy, or failed over to a replica that was behind.
 */
export async function seenSequence(pool: Pool): Promise<JournalSequence> {
  const { rows } = await pool.query<{ seen: string | number }>(
    `SELECT greatest((SELECT max(journal_sequence) FROM batches), (SELECT max(journal_sequence) FROM projection_cursor), 0) AS seen`,
  );
  return Number(rows[0]?.seen ?? 0) as JournalSequence;
}
