/** Reading and replaying golden journals; see golden.test.ts. */
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { contentHash } from '../../../src/chain/batch-codec.ts';
import {
  decodeSequencedCommand,
  encodeSequencedCommand,
  joinBody,
  splitBody,
} from '../../../src/domain/command-codec.ts';
import type { Command, SequencedCommand } from '../../../src/domain/commands.ts';
import { Engine } from '../../../src/offchain-engine/engine.ts';
import { stateHash } from '../../../src/offchain-engine/snapshot.ts';
import { unsignedContent } from '../../promises/support/unsigned-batches.ts';

export type GoldenResult = {
  readonly rulesVersion: number;
  readonly commands: number;
  readonly stateHash: string;
  /** SHA-256 over all events, in order. */
  readonly eventsHash: string;
  /** Content hash of each sealed batch, its signatures left empty. */
  readonly batches: readonly string[];
};

export type Golden = GoldenResult & {
  /** Encoded commands as in a journal row's body, gzip, base64. */
  readonly journal: string;
};

/** SHA-256 over what a golden file says, however it is laid out: what golden.test.ts holds it to. */
export function fingerprintOf(golden: Golden): string {
  const { rulesVersion, commands, stateHash: state, eventsHash, batches, journal } = golden;
  return createHash('sha256')
    .update(JSON.stringify([rulesVersion, commands, state, eventsHash, batches, journal]))
    .digest('hex');
}

export const goldenDirectory = (version: number): URL => new URL(`../golden/rules-${version}/`, import.meta.url);

export function packJournal(commands: readonly SequencedCommand[]): string {
  return gzipSync(joinBody(commands.map(encodeSequencedCommand))).toString('base64');
}

export function kindsOf(journal: string): Set<Command['kind']> {
  return new Set(commandsOf(journal).map(({ command }) => command.kind));
}

export function replayGolden(journal: string): GoldenResult {
  const engine = new Engine();
  const events = createHash('sha256');
  const batches: string[] = [];
  const commands = commandsOf(journal);
  for (const command of commands) {
    const applied = engine.apply(command);
    events.update(JSON.stringify(applied, (_, value) => (typeof value === 'bigint' ? `${value}n` : value)));
    for (const event of applied.events)
      if (event.kind === 'batchSealed') batches.push(contentHash(unsignedContent(event.batch)));
  }
  return {
    rulesVersion: engine.rulesVersion,
    commands: commands.length,
    stateHash: stateHash(engine),
    eventsHash: events.digest('hex'),
    batches,
  };
}

function commandsOf(journal: string): SequencedCommand[] {
  return splitBody(gunzipSync(Buffer.from(journal, 'base64'))).map(decodeSequencedCommand);
}
