import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { JournalSequence } from '../../src/domain/units.ts';
import type { Snapshot } from '../../src/offchain-engine/sequencer/ports.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { useTestDatabase } from '../support/database.ts';
import { resetJournal } from './journal-rows.ts';

function snapshotAt(sequence: number): Snapshot {
  return {
    sequence: sequence as JournalSequence,
    rulesVersion: 1,
    stateHash: `0x${'ab'.repeat(32)}`,
    journalHash: `0x${'cd'.repeat(32)}`,
    body: new Uint8Array(100_000).fill(sequence % 256),
  };
}

async function all(snapshots: PostgresSnapshots): Promise<Snapshot[]> {
  const found: Snapshot[] = [];
  for await (const snapshot of snapshots.newestFirst())
    found.push({ ...snapshot, body: new Uint8Array(snapshot.body) });
  return found;
}

describe('stored snapshots', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'tallystick-test-snapshots' });
  });
  beforeEach(() => resetJournal(pool));
  after(() => pool.end());

  it('come back as they were saved, newest first, and only the newest few are kept', async () => {
    const snapshots = new PostgresSnapshots({ pool, kept: 3 });
    assert.deepEqual(await all(snapshots), []);
    for (const sequence of [10, 20, 30, 40, 50]) await snapshots.save(snapshotAt(sequence));
    assert.deepEqual(await all(snapshots), [50, 40, 30].map(snapshotAt));
  });

  it('come back whole when they are written in many pieces, also when a smaller one takes their place', async () => {
    const snapshots = new PostgresSnapshots({ pool, kept: 2 });
    const pieces = randomBytes(3 * 2 ** 18 + 1);
    const large = { ...snapshotAt(10), body: new Uint8Array(pieces) };
    const even = { ...snapshotAt(20), body: new Uint8Array(pieces.subarray(0, 2 * 2 ** 18)) };
    await snapshots.save(large);
    await snapshots.save(even);
    assert.deepEqual(await all(snapshots), [even, large]);
    await snapshots.save(snapshotAt(20));
    assert.deepEqual(await all(snapshots), [snapshotAt(20), large]);
    await snapshots.save(snapshotAt(30));
    await snapshots.save(snapshotAt(40));
    const { rows } = await pool.query('SELECT count(*)::int AS parts FROM snapshot_parts');
    assert.equal(rows[0].parts, 0);
  });

  it('replace one of the same sequence: a successor may repeat it', async () => {
    const snapshots = new PostgresSnapshots({ pool, kept: 1 });
    await snapshots.save(snapshotAt(10));
    const again = { ...snapshotAt(10), stateHash: `0x${'ef'.repeat(32)}` as const };
    await snapshots.save(again);
    assert.deepEqual(await all(snapshots), [again]);
  });
});
