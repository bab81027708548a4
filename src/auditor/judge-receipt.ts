/**
 * An acknowledgement against the published journal: was the command kept where the engine had signed that it stands?
 *
 * A receipt alone shows what the engine promised; the journal alone shows what it published. Where they differ, both together are the proof
 * that a command was left out, moved or changed, since the engine key has signed for another row at that place.
 */
import { receiptSigner } from '../chain/receipts.ts';
import type { SequencedCommand } from '../domain/commands.ts';
import type { JournalRow, Receipt } from '../domain/journal.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Address, Hash } from '../domain/units.ts';
import { JOURNAL_START, receiptProves, verifyRow } from '../offchain-engine/sequencer/journal-row.ts';

export type ReceiptVerdict =
  /** The journal holds the command at its place. */
  | { readonly kind: 'kept' }
  /** The engine signed for the command, and the journal holds something else there. */
  | { readonly kind: 'omitted'; readonly reason: string }
  /** Nothing can be held against the engine: it did not sign this, or not for this command. */
  | { readonly kind: 'unproven'; readonly reason: string }
  /** The journal ends before the place. */
  | { readonly kind: 'unreached' };

export type AcknowledgedCommand = {
  readonly receipt: Receipt;
  /** As it was acknowledged, with the sequence and time of the answer. */
  readonly sequenced: SequencedCommand;
  /** Every key that was an engine's. */
  readonly engineKeys: readonly Address[];
  readonly domain: Eip712Domain;
};

/** What a client keeps of an acknowledgement: the receipt, and the order that it was told for. */
export type Acknowledgement = { readonly receipt: Receipt; readonly order: Hash | undefined };

/** @throws ExchangeError JOURNAL_CORRUPT when the journal is not one sound chain up to the receipt's place */
export async function judgeReceipt(
  { receipt, sequenced, engineKeys, domain }: AcknowledgedCommand,
  journal: AsyncIterable<JournalRow> | Iterable<JournalRow>,
): Promise<ReceiptVerdict> {
  const forgery = notSignedByEngine(receipt, engineKeys, domain);
  if (forgery !== undefined) return forgery;
  if (!receiptProves(receipt, sequenced)) {
    return { kind: 'unproven', reason: 'the receipt is for another command' };
  }
  let position = JOURNAL_START;
  for await (const row of journal) {
    position = verifyRow(position, row).position;
    if (row.lastSequence < receipt.sequence) continue;
    return judgeRow(receipt, row);
  }
  return { kind: 'unreached' };
}

/**
 * The same when the command's own bytes are not at hand: the journal's row is the one that was signed, or it is not. In the row that was
 * signed the command is read, and the order compared.
 *
 * @param row a verified row of the journal that reaches the receipt's place, with its commands
 */
export function judgeAcknowledgement(
  { receipt, order }: Acknowledgement,
  engineKeys: readonly Address[],
  domain: Eip712Domain,
  row: JournalRow,
  commands: readonly SequencedCommand[],
): ReceiptVerdict {
  const forgery = notSignedByEngine(receipt, engineKeys, domain);
  if (forgery !== undefined) return forgery;
  const verdict = judgeRow(receipt, row);
  if (verdict.kind !== 'kept') return verdict;
  const sequenced = commands.find(({ sequence }) => sequence === receipt.sequence);
  if (sequenced === undefined || !receiptProves(receipt, sequenced)) {
    return { kind: 'unproven', reason: `the receipt's proof does not lead to command ${receipt.sequence}` };
  }
  const { command } = sequenced;
  const placed = command.kind === 'placeOrder' || command.kind === 'replaceOrder' ? command.order.digest : undefined;
  if (order === undefined || placed === order) return verdict;
  return { kind: 'unproven', reason: `command ${receipt.sequence} is for ${placed ?? command.kind}, not for ${order}` };
}

function notSignedByEngine(
  receipt: Receipt,
  engineKeys: readonly Address[],
  domain: Eip712Domain,
): ReceiptVerdict | undefined {
  const signer = receiptSigner(receipt, domain);
  if (signer !== undefined && engineKeys.includes(signer)) return undefined;
  return { kind: 'unproven', reason: `the receipt was signed by ${signer ?? 'nobody'}` };
}

function judgeRow(receipt: Receipt, row: JournalRow): ReceiptVerdict {
  if (row.hash === receipt.rowHash) return { kind: 'kept' };
  const reason = `the engine signed for row ${receipt.rowHash} at ${receipt.sequence}, the journal has ${row.hash} there`;
  return { kind: 'omitted', reason };
}
