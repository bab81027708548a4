/**
 * Journal rows: how commands become a row, and how a row read back is told from a damaged or foreign one.
 *
 * Row hash = SHA-256 over: the 24 bytes "tallystick.journal.row.1", first sequence, last sequence and epoch (8 bytes each, big
 * endian), rules version and length of the body (4 bytes each), previous hash (32), Merkle root (32), body.
 * Merkle leaves are the commands as encoded in the body, so sequence and time of a command are proven with it.
 */
import { createHash, hash as hashOnce } from 'node:crypto';
import { CodecError } from '../../domain/byte-codec.ts';
import {
  decodeSequencedCommand,
  encodeSequencedCommand,
  joinBody,
  placeOfEncoded,
  splitBody,
} from '../../domain/command-codec.ts';
import type { SequencedCommand } from '../../domain/commands.ts';
import { RULES_VERSION } from '../../domain/commands.ts';
import { ExchangeError } from '../../domain/errors.ts';
import type { Receipt } from '../../domain/journal.ts';
import { leafHash, merkleLayers, merkleProof, rootFromProof, rootOf } from '../../domain/merkle.ts';
import type { Hex, JournalSequence, TimestampMs } from '../../domain/units.ts';
import type { NewJournalRow } from './ports.ts';

const ROW_HASH_PREFIX = new TextEncoder().encode('tallystick.journal.row.1');

/** Previous hash of the first row. */
export const NO_PREVIOUS_HASH: Hex = `0x${'00'.repeat(32)}`;

/** Where a journal stands: the next row must follow exactly this. */
export type JournalPosition = {
  readonly lastSequence: number;
  readonly hash: Hex;
  readonly epoch: number;
  /** Time of the last command. */
  readonly timestampMs: number;
};

export const JOURNAL_START: JournalPosition = { lastSequence: 0, hash: NO_PREVIOUS_HASH, epoch: 0, timestampMs: 0 };

/** What is wrong with a row; the `problem` in the details of JOURNAL_CORRUPT. */
export type RowProblem =
  /** Rows are missing before this one. */
  | 'missing_row'
  /** The body ends in the middle of a command. */
  | 'torn_row'
  /** The row's content does not give its hash. */
  | 'altered_row'
  /** The row is sound in itself, but follows another row than the one before it. */
  | 'foreign_row'
  /** The row's commands are not the ones its numbers, or its Merkle root, speak of. */
  | 'inconsistent_row';

/** A row with what only its maker needs: the tree, for proofs. */
export type BuiltRow = {
  readonly row: NewJournalRow;
  readonly layers: readonly (readonly Uint8Array[])[];
  /** The tree as receipts show it, made with the first of them: each node stands in many proofs. */
  hexLayers: readonly (readonly Hex[])[] | undefined;
};

export function sha256(bytes: Uint8Array): Uint8Array {
  // As text first: a buffer of the hash's own would cost four times as much as the hash, its collection included.
  return Buffer.from(hashOnce('sha256', bytes, 'binary'), 'binary');
}

export function toHex(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}

export function toBytes(hex: Hex): Uint8Array {
  return Buffer.from(hex.slice(2), 'hex');
}

/** @param encoded at least one sequenced command; the first has `firstSequence`, the others follow it one by one */
export function buildRow(
  previousHash: Hex,
  epoch: number,
  firstSequence: number,
  encoded: readonly Uint8Array[],
): BuiltRow {
  const layers = treeOver(encoded);
  const unhashed = {
    firstSequence: firstSequence as JournalSequence,
    lastSequence: (firstSequence + encoded.length - 1) as JournalSequence,
    epoch,
    rulesVersion: RULES_VERSION,
    body: joinBody(encoded),
    previousHash,
    merkleRoot: toHex(rootOf(layers)),
  };
  return { row: { ...unhashed, hash: rowHash(unhashed) }, layers, hexLayers: undefined };
}

export function rowHash(row: Omit<NewJournalRow, 'hash'>): Hex {
  const numbers = new DataView(new ArrayBuffer(32));
  numbers.setBigUint64(0, BigInt(row.firstSequence));
  numbers.setBigUint64(8, BigInt(row.lastSequence));
  numbers.setBigUint64(16, BigInt(row.epoch));
  numbers.setUint32(24, row.rulesVersion);
  numbers.setUint32(28, row.body.length);
  const hash = createHash('sha256');
  hash.update(ROW_HASH_PREFIX).update(numbers).update(toBytes(row.previousHash)).update(toBytes(row.merkleRoot));
  return `0x${hash.update(row.body).digest('hex')}`;
}

/** The receipt of the row's command with this index. */
export function receiptFor(built: BuiltRow, leafIndex: number, signature: Hex): Receipt {
  built.hexLayers ??= built.layers.map((layer) => layer.map(toHex));
  return {
    sequence: (built.row.firstSequence + leafIndex) as JournalSequence,
    rowHash: built.row.hash,
    merkleRoot: built.row.merkleRoot,
    leafIndex,
    leafCount: built.row.lastSequence - built.row.firstSequence + 1,
    proof: merkleProof(built.hexLayers, leafIndex),
    signature,
  };
}

/** Whether the receipt proves that exactly this command stands at its place; the signature over the root is checked apart. */
export function receiptProves(receipt: Receipt, sequenced: SequencedCommand): boolean {
  if (receipt.sequence !== sequenced.sequence) return false;
  const leaf = {
    hash: leafHash(encodeSequencedCommand(sequenced), sha256),
    index: receipt.leafIndex,
    leafCount: receipt.leafCount,
  };
  const root = rootFromProof(leaf, receipt.proof.map(toBytes), sha256);
  return root !== undefined && toHex(root) === receipt.merkleRoot;
}

/**
 * The commands of a row, once it is certain that the row is whole, unaltered, and the one that follows `position`.
 * @throws ExchangeError JOURNAL_CORRUPT with `problem` and the sequence in its details
 */
export function verifyRow(
  position: JournalPosition,
  row: NewJournalRow,
): { readonly commands: readonly SequencedCommand[]; readonly position: JournalPosition } {
  const verified = verifyEncodedRow(position, row);
  const commands = verified.encoded.map((bytes, index) => decodeAt(bytes, row.firstSequence + index));
  return { commands, position: verified.position };
}

/** `verifyRow`, with the commands as they stand in the row; whether each can be decoded is left to whoever does. */
export function verifyEncodedRow(
  position: JournalPosition,
  row: NewJournalRow,
): { readonly encoded: readonly Uint8Array[]; readonly position: JournalPosition } {
  if (row.firstSequence > position.lastSequence + 1) {
    corrupt('missing_row', position.lastSequence + 1, `the next row starts at ${row.firstSequence}`);
  }
  if (row.firstSequence <= position.lastSequence) {
    corrupt('inconsistent_row', row.firstSequence, `expected a row that starts at ${position.lastSequence + 1}`);
  }
  const encoded = verifyEncodedContent(row);
  if (row.previousHash !== position.hash) {
    corrupt('foreign_row', row.firstSequence, `it follows ${row.previousHash}, not ${position.hash}`);
  }
  if (row.epoch < position.epoch) {
    corrupt('foreign_row', row.firstSequence, `its epoch ${row.epoch} is below ${position.epoch}`);
  }
  let timestampMs = position.timestampMs;
  for (const [index, bytes] of encoded.entries()) {
    const sequence = row.firstSequence + index;
    const place = orCorrupt(sequence, () => placeOfEncoded(bytes));
    checkSequence(place.sequence, sequence);
    const next = place.timestampMs;
    if (next < timestampMs) corrupt('inconsistent_row', sequence, `time goes back from ${timestampMs} to ${next}`);
    timestampMs = next;
  }
  return { encoded, position: { lastSequence: row.lastSequence, hash: row.hash, epoch: row.epoch, timestampMs } };
}

/**
 * The commands of a row that is sound in itself; whether it has its place in the chain is `verifyRow`'s question.
 * @throws ExchangeError JOURNAL_CORRUPT with `problem` and the sequence in its details
 */
export function verifyRowContent(row: NewJournalRow): readonly SequencedCommand[] {
  return verifyEncodedContent(row).map((bytes, index) => decodeAt(bytes, row.firstSequence + index));
}

function verifyEncodedContent(row: NewJournalRow): readonly Uint8Array[] {
  const encoded = splitVerified(row);
  if (toHex(rootOf(treeOver(encoded))) !== row.merkleRoot) {
    corrupt('inconsistent_row', row.firstSequence, 'its commands do not give its Merkle root');
  }
  return encoded;
}

/**
 * Single commands of a row whose content gives its hash. Whether the commands give its Merkle root is left to those who replay the
 * journal: it costs more than everything else here, and the hash covers both.
 * @throws ExchangeError JOURNAL_CORRUPT with `problem` and the sequence in its details
 */
export function pickCommands(row: NewJournalRow, wanted: ReadonlySet<number>): SequencedCommand[] {
  return splitVerified(row).flatMap((bytes, index) => {
    const sequence = row.firstSequence + index;
    return wanted.has(sequence) ? [decodeAt(bytes, sequence)] : [];
  });
}

function splitVerified(row: NewJournalRow): Uint8Array[] {
  const intact = rowHash(row) === row.hash;
  let encoded: Uint8Array[];
  try {
    encoded = splitBody(row.body);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return corrupt('torn_row', row.firstSequence, error.message);
  }
  if (!intact) corrupt('altered_row', row.firstSequence, 'its content does not give its hash');
  if (encoded.length === 0 || encoded.length !== row.lastSequence - row.firstSequence + 1) {
    corrupt('inconsistent_row', row.firstSequence, `it holds ${encoded.length} commands`);
  }
  return encoded;
}

function decodeAt(bytes: Uint8Array, sequence: number): SequencedCommand {
  const sequenced = orCorrupt(sequence, () => decodeSequencedCommand(bytes));
  checkSequence(sequenced.sequence, sequence);
  return sequenced;
}

function checkSequence(said: number, sequence: number): void {
  if (said !== sequence) corrupt('inconsistent_row', sequence, `the command there says it is ${said}`);
}

/** What `read` makes of bytes of the row at `sequence`. @throws ExchangeError JOURNAL_CORRUPT when they cannot be decoded */
function orCorrupt<Result>(sequence: number, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return corrupt('inconsistent_row', sequence, error.message);
  }
}

function treeOver(encoded: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  return merkleLayers(
    encoded.map((bytes) => leafHash(bytes, sha256)),
    sha256,
  );
}

/** Time of a row's last command. @throws ExchangeError JOURNAL_CORRUPT unless the row is sound in itself */
export function lastTimestampOf(row: NewJournalRow): TimestampMs {
  const commands = verifyRowContent(row);
  return commands[commands.length - 1]?.timestampMs ?? (0 as TimestampMs);
}

export function corrupt(problem: RowProblem, sequence: number, explanation: string): never {
  throw new ExchangeError('JOURNAL_CORRUPT', `journal row at sequence ${sequence}: ${problem}: ${explanation}`, {
    details: { problem, sequence },
  });
}
