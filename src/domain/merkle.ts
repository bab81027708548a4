/**
 * Merkle trees as RFC 6962 §2.1 defines them: a leaf is H(0x00 ‖ bytes), a node H(0x01 ‖ left ‖ right), and a tree of n leaves
 * splits at the largest power of two below n. The prefixes keep a node from passing for a leaf. The hash is a parameter, so that
 * the engine, the browser and the auditor each bring their own SHA-256.
 */
export type HashFunction = (bytes: Uint8Array) => Uint8Array;

const LEAF_PREFIX = 0;
const NODE_PREFIX = 1;

// What is hashed is laid out here: hashing never yields, and a hash function keeps nothing of what it is given.
let leafScratch = new Uint8Array(1024);
const nodeScratch = new Uint8Array(1 + 2 * 32);
nodeScratch[0] = NODE_PREFIX;

export function leafHash(bytes: Uint8Array, hash: HashFunction): Uint8Array {
  if (leafScratch.length < 1 + bytes.length) leafScratch = new Uint8Array(2 * (1 + bytes.length));
  leafScratch[0] = LEAF_PREFIX;
  leafScratch.set(bytes, 1);
  return hash(leafScratch.subarray(0, 1 + bytes.length));
}

/** Every layer of the tree, leaves first, the root alone in the last one. @throws RangeError without leaves. */
export function merkleLayers(
  leafHashes: readonly Uint8Array[],
  hash: HashFunction,
): readonly (readonly Uint8Array[])[] {
  if (leafHashes.length === 0) throw new RangeError('a Merkle tree needs at least one leaf');
  const layers = [leafHashes];
  for (let below = leafHashes; below.length > 1; ) {
    const layer: Uint8Array[] = [];
    for (let index = 0; index < below.length; index += 2) {
      const left = below[index] as Uint8Array;
      const right = below[index + 1];
      // An odd last node moves up as it is: that is what splitting at a power of two comes to.
      layer.push(right === undefined ? left : nodeHash(left, right, hash));
    }
    layers.push(layer);
    below = layer;
  }
  return layers;
}

/** The root of the tree over `leafHashes`. @throws RangeError without leaves. */
export function merkleRoot(leafHashes: readonly Uint8Array[], hash: HashFunction): Uint8Array {
  return rootOf(merkleLayers(leafHashes, hash));
}

export function rootOf(layers: readonly (readonly Uint8Array[])[]): Uint8Array {
  return layers[layers.length - 1]?.[0] as Uint8Array;
}

/** Siblings of a leaf from the bottom up; a level where the node has none gives none. */
export function merkleProof<Node>(layers: readonly (readonly Node[])[], leafIndex: number): Node[] {
  const proof: Node[] = [];
  let index = leafIndex;
  for (const layer of layers.slice(0, -1)) {
    const sibling = layer[index ^ 1];
    if (sibling !== undefined) proof.push(sibling);
    index = index >> 1;
  }
  return proof;
}

/** The root that a proof leads to, or undefined when it does not have the shape of a proof for that place. */
export function rootFromProof(
  leaf: { readonly hash: Uint8Array; readonly index: number; readonly leafCount: number },
  proof: readonly Uint8Array[],
  hash: HashFunction,
): Uint8Array | undefined {
  if (!Number.isInteger(leaf.index) || leaf.index < 0 || leaf.index >= leaf.leafCount) return undefined;
  let node = leaf.hash;
  let used = 0;
  for (let index = leaf.index, width = leaf.leafCount; width > 1; index = index >> 1, width = Math.ceil(width / 2)) {
    const hasSibling = (index ^ 1) < width;
    if (!hasSibling) continue;
    const sibling = proof[used++];
    if (sibling === undefined) return undefined;
    node = index % 2 === 0 ? nodeHash(node, sibling, hash) : nodeHash(sibling, node, hash);
  }
  return used === proof.length ? node : undefined;
}

function nodeHash(left: Uint8Array, right: Uint8Array, hash: HashFunction): Uint8Array {
  // A node of another size is in a proof that somebody made up: it leads to no root of ours.
  if (left.length !== 32 || right.length !== 32) return hash(Uint8Array.of(NODE_PREFIX, ...left, ...right));
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 33);
  return hash(nodeScratch);
}
