/**
 * Receipts: the engine's signature over a journal row (EIP-712 `JournalRow`), which with a Merkle proof shows where a command stands.
 * Whoever holds one can prove later that the command was left out of a published journal, or changed in it.
 */
import secp256k1 from 'secp256k1';
import type { JournalRow, Receipt } from '../domain/journal.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Address, Hash, Hex } from '../domain/units.ts';
import { joinCompact } from './compact-signature.ts';
import { createDigester, type Digester, type JournalRowMessage } from './digests.ts';
import { hexToBytes } from './hex.ts';
import { recoverSigner } from './recover.ts';

/** What of a journal row is signed. */
export type SignedRow = Pick<JournalRow, 'firstSequence' | 'lastSequence' | 'merkleRoot' | 'hash'>;

/** The EIP-712 message that the engine signs for a row. */
export function journalRowMessage(row: SignedRow): JournalRowMessage {
  return {
    firstSequence: BigInt(row.firstSequence),
    lastSequence: BigInt(row.lastSequence),
    merkleRoot: row.merkleRoot,
    rowHash: row.hash,
  };
}

function rowDigest(row: SignedRow, digester: Digester): Hash {
  return digester.journalRow(journalRowMessage(row));
}

/** Signs rows with a key in this process; 64-byte compact signatures. One signature serves every command of a row. */
export function createRowSigner(privateKey: Hex, domain: Eip712Domain): (row: SignedRow) => Promise<Hex> {
  const key = hexToBytes(privateKey);
  const digester = createDigester(domain);
  return async (row) => {
    const { signature, recid } = secp256k1.ecdsaSign(hexToBytes(rowDigest(row, digester)), key);
    return joinCompact({ rs: signature, yParity: recid === 0 ? 0 : 1 });
  };
}

/** Whose key signed the receipt's row; undefined when the signature is malformed. The Merkle proof is checked by whoever holds the command. */
export function receiptSigner(receipt: Receipt, domain: Eip712Domain): Address | undefined {
  const firstSequence = (receipt.sequence - receipt.leafIndex) as JournalRow['firstSequence'];
  const row: SignedRow = {
    firstSequence,
    lastSequence: (firstSequence + receipt.leafCount - 1) as JournalRow['lastSequence'],
    merkleRoot: receipt.merkleRoot,
    hash: receipt.rowHash,
  };
  const recovered = recoverSigner(rowDigest(row, createDigester(domain)), receipt.signature);
  return recovered.kind === 'recovered' ? recovered.signer : undefined;
}
