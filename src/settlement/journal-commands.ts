/** Single commands from the journal: the batch carries the users' signatures, the engine's state only their positions. */
import type { Pool } from 'pg';
import { decodeSequencedCommand, splitBody } from '../domain/command-codec.ts';
import type { Command } from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';

/** Commands by sequence. @throws ExchangeError JOURNAL_CORRUPT when one is missing. */
export type ReadCommands = (sequences: readonly number[]) => Promise<ReadonlyMap<number, Command>>;

export function createJournalCommands(pool: Pool): ReadCommands {
  return async (sequences) => {
    const wanted = [...new Set(sequences)].sort((a, b) => a - b);
    const commands = new Map<number, Command>();
    if (wanted.length === 0) return commands;
    // Each sequence stands in the first row that ends at or after it.
    const { rows } = await pool.query<{
      first_sequence: string | number;
      last_sequence: string | number;
      body: Buffer;
    }>(
      `SELECT first_sequence, last_sequence, body FROM journal WHERE last_sequence IN (
         SELECT (SELECT j.last_sequence FROM journal j WHERE j.last_sequence >= s ORDER BY j.last_sequence LIMIT 1)
         FROM unnest($1::bigint[]) s)`,
      [wanted],
    );
    for (const row of rows) {
      const first = Number(row.first_sequence);
      const encoded = splitBody(row.body);
      for (const sequence of wanted) {
        const bytes = encoded[sequence - first];
        if (sequence < first || bytes === undefined) continue;
        commands.set(sequence, decodeSequencedCommand(bytes).command);
      }
    }
    const missing = wanted.find((sequence) => !commands.has(sequence));
    if (missing !== undefined) throw new ExchangeError('JOURNAL_CORRUPT', `the journal has no command ${missing}`);
    return commands;
  };
}
