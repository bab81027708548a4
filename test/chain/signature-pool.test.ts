import assert from 'node:assert/strict';
import { privateKeyToAccount } from 'viem/accounts';
import { checkSignature, type SignedMessage } from '../../src/chain/check-signature.ts';
import { createDigester, type OrderMessage } from '../../src/chain/digests.ts';
import { createSignaturePool } from '../../src/chain/signature-pool.ts';
import { ExchangeError } from '../../src/domain/errors.ts';
import { eip712Domain, ORDER_TYPES } from '../../src/domain/typed-data.ts';
import type { Address } from '../../src/domain/units.ts';

const domain = eip712Domain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3');
const owner = privateKeyToAccount(`0x${'42'.repeat(32)}`);
const orderOf = (nonce: bigint): OrderMessage => ({
  account: owner.address.toLowerCase() as Address,
  side: 'buy',
  baseToken: `0x${'aa'.repeat(20)}`,
  baseAmount: 10n ** 18n,
  quoteToken: `0x${'bb'.repeat(20)}`,
  quoteAmount: 3_000_000_000n,
  timeInForce: 'gtc',
  postOnly: false,
  nonce,
  expiry: 1_900_000_000n,
  maxFeePpm: 1000,
});
const signed = async (nonce: bigint): Promise<SignedMessage> => {
  const message = orderOf(nonce);
  return {
    kind: 'order',
    message,
    signature: await owner.signTypedData({ domain, types: ORDER_TYPES, primaryType: 'Order', message }),
  };
};

describe('the signature pool', () => {
  it('answers each request with its own digest and signer', async () => {
    const pool = createSignaturePool(domain, { workers: 2 });
    try {
      const requests = await Promise.all(Array.from({ length: 200 }, (_, index) => signed(BigInt(index + 1))));
      const results = await Promise.all(requests.map((request) => pool.check(request)));
      const digester = createDigester(domain);
      results.forEach((result, index) => {
        assert.deepEqual(result, checkSignature(digester, requests[index] as SignedMessage));
        assert.equal(result.signer, owner.address.toLowerCase());
      });
      assert.equal(pool.pending(), 0);
    } finally {
      await pool.close();
    }
  });

  it('says what is wrong with a signature, and leaves a registered order to the engine', async () => {
    const pool = createSignaturePool(domain, { workers: 1 });
    try {
      const bad = await pool.check({ kind: 'order', message: orderOf(1n), signature: '0x1234' });
      assert.equal(bad.problem, 'not_64_or_65_bytes');
      const registered = await pool.check({ kind: 'order', message: orderOf(1n), signature: '0x' });
      assert.deepEqual([registered.signer, registered.compact], [owner.address.toLowerCase(), '0x']);
    } finally {
      await pool.close();
    }
  });

  it('refuses beyond its bound, fails one bad message alone, and refuses after closing', async () => {
    const pool = createSignaturePool(domain, { workers: 1, pendingMax: 1 });
    const good = await signed(1n);
    const outOfRange = pool.check({ kind: 'order', message: { ...orderOf(1n), nonce: -1n }, signature: '0x' });
    await assert.rejects(outOfRange, /uint64/);
    const first = pool.check(good);
    await assert.rejects(pool.check(good), (error) => error instanceof ExchangeError && error.code === 'OVERLOADED');
    assert.equal((await first).signer, owner.address.toLowerCase());
    await pool.close();
    await assert.rejects(pool.check(good), (error) => error instanceof ExchangeError && error.code === 'NOT_READY');
  });
});
