/** The journal as rows: one row per group commit, linked by hash. Stored by `storage`, published to auditors as it is. */
import type { Hex, JournalSequence, TimestampMs } from './units.ts';

export type JournalRow = {
  /** Sequences of the first and last command in `body`. */
  readonly firstSequence: JournalSequence;
  readonly lastSequence: JournalSequence;
  readonly epoch: number;
  readonly rulesVersion: number;
  /** Binary commands, each with its length and its time. */
  readonly body: Uint8Array;
  /** Hash of the row before; 32 zero bytes for the first. */
  readonly previousHash: Hex;
  /** Merkle root over the commands of the row; receipts are signed over it. */
  readonly merkleRoot: Hex;
  /** SHA-256 over everything above. */
  readonly hash: Hex;
  readonly committedAtMs: TimestampMs;
};

/** Proof that a command stands at its place: signed by the engine key over the row's Merkle root. */
export type Receipt = {
  readonly sequence: JournalSequence;
  readonly rowHash: Hex;
  readonly merkleRoot: Hex;
  /** Index of the command within its row, the row's number of commands, and the siblings from leaf to root. */
  readonly leafIndex: number;
  readonly leafCount: number;
  readonly proof: readonly Hex[];
  readonly signature: Hex;
};
