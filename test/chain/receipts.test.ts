import assert from 'node:assert/strict';
import { privateKeyToAccount } from 'viem/accounts';
import { createRowSigner, receiptSigner } from '../../src/chain/receipts.ts';
import type { Receipt } from '../../src/domain/journal.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Hex, JournalSequence } from '../../src/domain/units.ts';

const KEY: Hex = `0x${'4c'.repeat(32)}`;
const DOMAIN = eip712Domain(31_337, `0x${'11'.repeat(20)}`);

async function receipt(): Promise<Receipt> {
  const row = {
    firstSequence: 41 as JournalSequence,
    lastSequence: 44 as JournalSequence,
    merkleRoot: `0x${'ab'.repeat(32)}` as Hex,
    hash: `0x${'cd'.repeat(32)}` as Hex,
  };
  const signature = await createRowSigner(KEY, DOMAIN)(row);
  return {
    sequence: 42 as JournalSequence,
    rowHash: row.hash,
    merkleRoot: row.merkleRoot,
    leafIndex: 1,
    leafCount: 4,
    proof: [],
    signature,
  };
}

describe('receipts', () => {
  const engine = privateKeyToAccount(KEY).address.toLowerCase();

  it('recovers the engine key from a receipt of any command of the row', async () => {
    const signed = await receipt();
    assert.equal(receiptSigner(signed, DOMAIN), engine);
    assert.equal(receiptSigner({ ...signed, sequence: 44 as JournalSequence, leafIndex: 3 }, DOMAIN), engine);
  });

  it('recovers nobody known when anything that was signed differs', async () => {
    const signed = await receipt();
    const other: Hex = `0x${'ef'.repeat(32)}`;
    for (const forged of [
      { ...signed, merkleRoot: other },
      { ...signed, rowHash: other },
      { ...signed, sequence: 43 as JournalSequence },
      { ...signed, leafCount: 5 },
    ]) {
      assert.notEqual(receiptSigner(forged, DOMAIN), engine);
    }
    assert.notEqual(receiptSigner(signed, eip712Domain(1, DOMAIN.verifyingContract)), engine);
  });
});
