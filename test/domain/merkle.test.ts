import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { leafHash, merkleLayers, merkleProof, merkleRoot, rootFromProof, rootOf } from '../../src/domain/merkle.ts';

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());
const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex');

/** The definition of RFC 6962 §2.1, word for word. */
function definition(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return sha256(new Uint8Array([0, ...(leaves[0] as Uint8Array)]));
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(new Uint8Array([1, ...definition(leaves.slice(0, split)), ...definition(leaves.slice(split))]));
}

const someLeaves = fc.array(fc.uint8Array({ maxLength: 8 }), { minLength: 1, maxLength: 40 });

describe('Merkle trees', () => {
  it('have the root that RFC 6962 defines', () => {
    fc.assert(
      fc.property(someLeaves, (leaves) => {
        const hashes = leaves.map((leaf) => leafHash(leaf, sha256));
        assert.equal(hex(merkleRoot(hashes, sha256)), hex(definition(leaves)));
      }),
    );
  });

  it('prove every leaf at its place, and nowhere else', () => {
    fc.assert(
      fc.property(someLeaves, fc.nat(), fc.nat(), (leaves, one, another) => {
        const layers = merkleLayers(
          leaves.map((leaf, index) => leafHash(new Uint8Array([index, ...leaf]), sha256)),
          sha256,
        );
        const leafCount = leaves.length;
        const index = one % leafCount;
        const hash = layers[0]?.[index] as Uint8Array;
        const proof = merkleProof(layers, index);
        assert.equal(hex(rootFromProof({ hash, index, leafCount }, proof, sha256)), hex(rootOf(layers)));
        const elsewhere = another % leafCount;
        if (elsewhere !== index) {
          assert.notEqual(
            hex(rootFromProof({ hash, index: elsewhere, leafCount }, proof, sha256)),
            hex(rootOf(layers)),
          );
        }
        assert.equal(rootFromProof({ hash, index, leafCount }, [...proof, hash], sha256), undefined);
        assert.equal(rootFromProof({ hash, index: leafCount, leafCount }, proof, sha256), undefined);
      }),
    );
  });

  it('need a leaf', () => {
    assert.throws(() => merkleRoot([], sha256), RangeError);
  });
});
