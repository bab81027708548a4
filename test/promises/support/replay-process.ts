/**
 * Replays the journal of a database in a process of its own, and prints state hash and unsigned batches as one JSON object.
 *
 * Usage: replay-process.ts DATABASE_URL
 */
import { Engine } from '../../../src/offchain-engine/engine.ts';
import { JOURNAL_START, verifyRow } from '../../../src/offchain-engine/sequencer/journal-row.ts';
import { ENGINE_FORM } from '../../../src/services/engine-form.ts';
import { openDatabase } from '../../../src/storage/database.ts';
import { PostgresJournalReader } from '../../../src/storage/journal/read-journal.ts';
import { unsignedBatches } from './unsigned-batches.ts';

const pool = openDatabase({ url: process.argv[2] ?? '', applicationName: 'tallystick-test-replay' });
const engine = new Engine();
const batches: string[] = [];
let position = JOURNAL_START;
for await (const row of new PostgresJournalReader(pool).rowsFrom(1)) {
  const verified = verifyRow(position, row);
  position = verified.position;
  batches.push(...unsignedBatches(verified.commands.map((command) => engine.apply(command))));
}
await pool.end();
process.stdout.write(JSON.stringify({ stateHash: ENGINE_FORM.stateHash(engine), batches }));
