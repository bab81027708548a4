import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeAbiParameters, hashStruct, hashTypedData, keccak256 } from 'viem';
import { batchHash } from '../../src/chain/batch-codec.ts';
import { createDigester } from '../../src/chain/digests.ts';
import {
  API_KEY_TYPES,
  BATCH_TYPES,
  CANCEL_TYPES,
  eip712Domain,
  JOURNAL_ROW_TYPES,
  ORDER_TYPES,
  SESSION_KEY_TYPES,
  WITHDRAWAL_TYPES,
} from '../../src/domain/typed-data.ts';
import type { Address, Hash } from '../../src/domain/units.ts';

const hexOf = (bytes: number) =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((value) => `0x${Buffer.from(value).toString('hex')}` as const);
const address: fc.Arbitrary<Address> = hexOf(20);
const hash: fc.Arbitrary<Hash> = hexOf(32);
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const uint256 = fc.oneof(uint64, fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }));
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const word = fc.oneof(fc.constantFrom('buy', 'sell', 'gtc', 'ioc', 'fok', 'gtd'), fc.string());

const order = fc.record({
  account: address,
  side: word,
  baseToken: address,
  baseAmount: uint256,
  quoteToken: address,
  quoteAmount: uint256,
  timeInForce: word,
  postOnly: fc.boolean(),
  nonce: uint64,
  expiry: uint64,
  maxFeePpm: uint32,
});
const withdrawal = fc.record({
  account: address,
  token: address,
  amount: uint256,
  recipient: address,
  nonce: uint64,
  expiry: uint64,
  maxFee: uint256,
});
const sessionKey = fc.record({ account: address, key: address, expiry: uint64, nonce: uint64 });
const batch = fc.record({
  id: uint64,
  parent: hash,
  contentHash: hash,
  epoch: uint64,
  journalSequence: uint64,
  journalHash: hash,
});
const cancel = fc.record({ account: address, scope: fc.string(), timestamp: uint64 });
const journalRow = fc.record({ firstSequence: uint64, lastSequence: uint64, merkleRoot: hash, rowHash: hash });
const apiKey = fc.record({ account: address, scopes: fc.string(), expiry: uint64, timestamp: uint64 });

describe('EIP-712 digests laid out by hand', () => {
  const domain = eip712Domain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3');
  // One digester for all messages: what a longer message leaves in the buffers must not reach a shorter one.
  const digester = createDigester(domain);

  it('equal the generic encoder for random orders', () => {
    fc.assert(
      fc.property(order, (message) => {
        assert.equal(
          digester.order(message),
          hashTypedData({ domain, types: ORDER_TYPES, primaryType: 'Order', message }),
        );
        assert.equal(
          digester.orderStructHash(message),
          hashStruct({ data: message, primaryType: 'Order', types: ORDER_TYPES }),
        );
      }),
    );
  });

  it('equal the generic encoder for random withdrawals, session keys, batches, cancels and API keys', () => {
    fc.assert(
      fc.property(withdrawal, sessionKey, batch, cancel, apiKey, journalRow, (w, s, b, c, a, r) => {
        assert.equal(
          digester.journalRow(r),
          hashTypedData({ domain, types: JOURNAL_ROW_TYPES, primaryType: 'JournalRow', message: r }),
        );
        assert.equal(
          digester.apiKey(a),
          hashTypedData({ domain, types: API_KEY_TYPES, primaryType: 'ApiKey', message: a }),
        );
        assert.equal(
          digester.withdrawal(w),
          hashTypedData({ domain, types: WITHDRAWAL_TYPES, primaryType: 'Withdrawal', message: w }),
        );
        assert.equal(
          digester.sessionKey(s),
          hashTypedData({ domain, types: SESSION_KEY_TYPES, primaryType: 'SessionKey', message: s }),
        );
        assert.equal(
          digester.batch(b),
          hashTypedData({ domain, types: BATCH_TYPES, primaryType: 'Batch', message: b }),
        );
        assert.equal(
          digester.cancel(c),
          hashTypedData({ domain, types: CANCEL_TYPES, primaryType: 'Cancel', message: c }),
        );
      }),
    );
  });

  it('links a batch to its parent by the hash of its ABI encoding, epoch left out', () => {
    fc.assert(
      fc.property(batch, (random) => {
        const b = { ...random, id: random.id % 2n ** 53n, journalSequence: random.journalSequence % 2n ** 53n };
        const encoded = encodeAbiParameters(
          [{ type: 'uint64' }, { type: 'bytes32' }, { type: 'bytes32' }, { type: 'uint64' }, { type: 'bytes32' }],
          [b.id, b.parent, b.contentHash, b.journalSequence, b.journalHash],
        );
        assert.equal(
          batchHash({ ...b, id: Number(b.id), journalSequence: Number(b.journalSequence) }),
          keccak256(encoded),
        );
      }),
    );
  });

  it('refuses values outside their type', () => {
    const message = fc.sample(order, { numRuns: 1, seed: 1 })[0];
    assert.ok(message !== undefined);
    assert.throws(() => digester.order({ ...message, nonce: 2n ** 64n }), RangeError);
    assert.throws(() => digester.order({ ...message, baseAmount: -1n }), RangeError);
    assert.throws(() => digester.order({ ...message, quoteAmount: 2n ** 256n }), RangeError);
    assert.throws(() => digester.order({ ...message, maxFeePpm: 1.5 }), RangeError);
    assert.throws(() => digester.order({ ...message, account: '0x1234' }), RangeError);
    assert.throws(() => digester.order({ ...message, account: `0x${'zz'.repeat(20)}` }), RangeError);
  });
});
