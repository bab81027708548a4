import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  parseCompactSignature,
  parseSignature,
  serializeCompactSignature,
  serializeSignature,
  signatureToCompactSignature,
} from 'viem';
import { privateKeyToAccount, sign } from 'viem/accounts';
import { fromCompactSignature, toCompactSignature } from '../../src/chain/compact-signature.ts';
import { isNativeRecovery, recoverSigner } from '../../src/chain/recover.ts';

const bytes32 = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((value) => `0x${Buffer.from(value).toString('hex')}` as const);
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const privateKey = fc
  .bigInt({ min: 1n, max: ORDER - 1n })
  .map((value) => `0x${value.toString(16).padStart(64, '0')}` as const);

describe('signer recovery', () => {
  it('names the signer of random digests from 65-byte and compact signatures', async () => {
    await fc.assert(
      fc.asyncProperty(privateKey, bytes32, async (key, digest) => {
        const expected = privateKeyToAccount(key).address.toLowerCase();
        const signature = await sign({ hash: digest, privateKey: key, to: 'hex' });
        const compact = serializeCompactSignature(signatureToCompactSignature(parseSignature(signature)));
        assert.deepEqual(recoverSigner(digest, signature), { kind: 'recovered', signer: expected, compact });
        assert.deepEqual(recoverSigner(digest, compact), { kind: 'recovered', signer: expected, compact });
        assert.equal(toCompactSignature(signature), compact);
        assert.equal(toCompactSignature(compact), compact);
        assert.equal(fromCompactSignature(compact), signature);
        assert.equal(parseCompactSignature(compact).r, parseSignature(signature).r);
      }),
      { numRuns: 50 },
    );
  });

  it('takes v of 0 and 1 as well as 27 and 28', async () => {
    const key = `0x${'11'.repeat(32)}` as const;
    const digest = `0x${'22'.repeat(32)}` as const;
    const signature = await sign({ hash: digest, privateKey: key, to: 'hex' });
    const v = Number.parseInt(signature.slice(-2), 16) - 27;
    assert.deepEqual(recoverSigner(digest, `${signature.slice(0, -2)}0${v}`), recoverSigner(digest, signature));
  });

  it('refuses the high-s twin of a valid signature', async () => {
    const digest = `0x${'33'.repeat(32)}` as const;
    const parsed = parseSignature(await sign({ hash: digest, privateKey: `0x${'11'.repeat(32)}`, to: 'hex' }));
    const s = `0x${(ORDER - BigInt(parsed.s)).toString(16).padStart(64, '0')}` as const;
    const twin = serializeSignature({ r: parsed.r, s, yParity: 1 - parsed.yParity });
    assert.deepEqual(recoverSigner(digest, twin), { kind: 'malformed', reason: 'high_s' });
    assert.throws(() => toCompactSignature(twin), /high s/);
  });

  it('says what is wrong with a signature of the wrong form', () => {
    const digest = `0x${'33'.repeat(32)}` as const;
    const cases: [string, string][] = [
      ['', 'not_64_or_65_bytes'],
      ['0x', 'not_64_or_65_bytes'],
      [`0x${'11'.repeat(63)}`, 'not_64_or_65_bytes'],
      [`0x${'11'.repeat(66)}`, 'not_64_or_65_bytes'],
      [`0x${'zz'.repeat(65)}`, 'not_64_or_65_bytes'],
      [`11${'11'.repeat(65)}`, 'not_64_or_65_bytes'],
      [`0x${'11'.repeat(64)}1d`, 'bad_recovery_id'],
      [`0x${'00'.repeat(64)}1b`, 'not_recoverable'],
      [`0x${'ff'.repeat(32)}${'11'.repeat(32)}1b`, 'not_recoverable'],
    ];
    for (const [signature, reason] of cases) {
      assert.deepEqual(recoverSigner(digest, signature), { kind: 'malformed', reason }, signature);
    }
  });

  it('runs natively where the package ships a binary', () => {
    const shipped = ['linux-x64', 'darwin-arm64', 'win32-x64'].includes(`${process.platform}-${process.arch}`);
    assert.equal(isNativeRecovery() || !shipped, true);
  });
});
