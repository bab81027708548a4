/** Rows and leaders for tests of the journal. */
import type pg from 'pg';
import { encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { SequencedCommand } from '../../src/domain/commands.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import type { JournalSequence, TimestampMs } from '../../src/domain/units.ts';
import { buildRow, JOURNAL_START } from '../../src/offchain-engine/sequencer/journal-row.ts';
import type { NewJournalRow, OpeningRow } from '../../src/offchain-engine/sequencer/ports.ts';
import { PostgresJournal } from '../../src/storage/journal/postgres-journal.ts';
import { PostgresLeadership } from '../../src/storage/leadership.ts';

export const START_MS = 1_800_000_000_000;

export function noted(sequence: number): SequencedCommand {
  return {
    sequence: sequence as JournalSequence,
    timestampMs: (START_MS + sequence) as TimestampMs,
    command: { kind: 'haltWithdrawals', reason: `command ${sequence}` },
  };
}

/** A row of `count` commands on top of `previous`. */
export function rowAfter(
  previous: { readonly lastSequence: number; readonly hash: JournalRow['hash'] } | undefined,
  epoch: number,
  count = 1,
): NewJournalRow {
  const { lastSequence, hash } = previous ?? JOURNAL_START;
  const encoded = Array.from({ length: count }, (_, index) => encodeSequencedCommand(noted(lastSequence + 1 + index)));
  return buildRow(hash, epoch, lastSequence + 1, encoded).row;
}

export const openWithOneRow: OpeningRow = (last, epoch) => rowAfter(last, epoch);

export async function lead(
  pool: pg.Pool,
  owner: string,
  options: { readonly leaseMs?: number; readonly giveUpAfterMs?: number } = {},
): Promise<{ leadership: PostgresLeadership; journal: PostgresJournal; epoch: number; last: JournalRow }> {
  const leadership = new PostgresLeadership({ pool, owner, ...options });
  const journal = new PostgresJournal({ pool, owner, ...options });
  for (;;) {
    const acquisition = await leadership.tryAcquire(openWithOneRow);
    if (acquisition.kind === 'acquired') {
      const last = await journal.lastRow();
      if (last === undefined) throw new Error('the opening row is missing');
      return { leadership, journal, epoch: acquisition.epoch, last };
    }
    await new Promise((resolve) => setTimeout(resolve, acquisition.remainingMs + 10));
  }
}

/** Empties journal and leadership, as after the migrations. */
export async function resetJournal(pool: pg.Pool): Promise<void> {
  await pool.query('TRUNCATE journal, snapshots CASCADE');
  await pool.query(`UPDATE leader SET epoch = 0, owner = '', lease_until = 'epoch'`);
}
