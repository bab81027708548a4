/**
 * Replays the whole journal through a fresh engine: every row verified in its chain, and at each stored snapshot's place the state held
 * against it. Ends with the state hash, which is the same wherever the same journal is replayed.
 */
import type { Command } from 'commander';
import type { Pool } from 'pg';
import { Engine } from '../../offchain-engine/engine.ts';
import { JOURNAL_START, verifyRow } from '../../offchain-engine/sequencer/journal-row.ts';
import { stateHash } from '../../offchain-engine/snapshot.ts';
import { PostgresJournalReader } from '../../storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../storage/snapshots.ts';
import { EXIT } from '../exit-codes.ts';
import { styled, type Terminal } from '../terminal.ts';
import { withDatabase } from './environment.ts';

type Compared = {
  readonly sequence: number;
  readonly stateHash: string;
  readonly replayedHash: string | null;
  readonly matches: boolean;
};

export type Replayed = {
  readonly rows: number;
  readonly sequence: number;
  readonly journalHash: string;
  readonly epoch: number;
  readonly stateHash: string;
  readonly snapshots: readonly Compared[];
  readonly matches: boolean;
  readonly seconds: number;
};

const PROGRESS_EVERY_MS = 2_000;

export function addReplay(program: Command, terminal: Terminal): void {
  program
    .command('replay')
    .description('replay the journal from the database, and compare the state with every stored snapshot')
    .action(async () => {
      const replayed = await withDatabase((pool) => replay(pool, (line) => terminal.progress(line)));
      const lines = [
        `${replayed.rows} rows, ${replayed.sequence} commands, epoch ${replayed.epoch}, ${replayed.seconds.toFixed(1)} s`,
        `  journal hash  ${replayed.journalHash}`,
        `  state hash    ${replayed.stateHash}`,
        ...replayed.snapshots.map(({ sequence, matches }) =>
          matches
            ? `  ${styled('green', '✓')} the snapshot at ${sequence} is the same state`
            : `  ${styled('red', '✗')} the snapshot at ${sequence} is another state`,
        ),
        ...(replayed.snapshots.length === 0 ? ['  there is no snapshot to compare with'] : []),
      ];
      terminal.show({ json: replayed, text: lines.join('\n'), exitCode: replayed.matches ? EXIT.ok : EXIT.wrong });
    });
}

/** @throws ExchangeError JOURNAL_CORRUPT at the first row that does not verify */
export async function replay(pool: Pool, onProgress: (line: string) => void): Promise<Replayed> {
  const startedAt = performance.now();
  let reportedAt = startedAt;
  // Read first: one that is taken meanwhile may stand beyond the journal as it is read.
  const expected = new Map<number, string>();
  for await (const snapshot of new PostgresSnapshots({ pool }).newestFirst()) {
    expected.set(snapshot.sequence, snapshot.stateHash);
  }
  const found = new Map<number, string>();
  const engine = new Engine();
  let position = JOURNAL_START;
  let rows = 0;
  for await (const row of new PostgresJournalReader(pool).rowsFrom(1)) {
    const verified = verifyRow(position, row);
    position = verified.position;
    rows += 1;
    for (const sequenced of verified.commands) engine.apply(sequenced);
    if (expected.has(row.lastSequence)) found.set(row.lastSequence, stateHash(engine));
    if (performance.now() - reportedAt < PROGRESS_EVERY_MS) continue;
    reportedAt = performance.now();
    onProgress(`at command ${row.lastSequence} …`);
  }
  const snapshots = [...expected]
    .toSorted(([a], [b]) => a - b)
    .map(([sequence, hash]): Compared => {
      const replayedHash = found.get(sequence) ?? null;
      return { sequence, stateHash: hash, replayedHash, matches: replayedHash === hash };
    });
  return {
    rows,
    sequence: engine.lastSequence,
    journalHash: position.hash,
    epoch: position.epoch,
    stateHash: stateHash(engine),
    snapshots,
    matches: snapshots.every(({ matches }) => matches),
    seconds: (performance.now() - startedAt) / 1000,
  };
}
