/** A journal row as it is published: bytes as hex, nothing left out, so that its hash can be computed again. */
import { type Static, Type } from 'typebox';
import type { JournalRow } from '../domain/journal.ts';
import { object, TimeMs } from './schemas.ts';

export const JournalRowView = object({
  firstSequence: Type.Integer(),
  lastSequence: Type.Integer(),
  epoch: Type.Integer(),
  rulesVersion: Type.Integer(),
  body: Type.String({ description: 'Binary commands, each with its length and its time, as hex.' }),
  previousHash: Type.String(),
  merkleRoot: Type.String(),
  hash: Type.String(),
  committedAt: TimeMs,
});
export type JournalRowView = Static<typeof JournalRowView>;

export function journalRowView(row: JournalRow): JournalRowView {
  const { firstSequence, lastSequence, epoch, rulesVersion, previousHash, merkleRoot, hash } = row;
  const body = `0x${Buffer.from(row.body.buffer, row.body.byteOffset, row.body.byteLength).toString('hex')}`;
  return {
    firstSequence,
    lastSequence,
    epoch,
    rulesVersion,
    body,
    previousHash,
    merkleRoot,
    hash,
    committedAt: row.committedAtMs,
  };
}
