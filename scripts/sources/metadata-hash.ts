/** The hash of metadata as the compiler writes it at the end of a contract's code: an IPFS multihash of the file. */
import { createHash } from 'node:crypto';

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Hex of the multihash (sha2-256 of a UnixFS leaf). @throws RangeError for a file of more than one block, 256 KiB */
export function metadataHash(metadata: string): string {
  const file = Buffer.from(metadata, 'utf8');
  if (file.length > 262_144) throw new RangeError(`metadata of ${file.length} bytes lies in more than one block`);
  const size = varint(file.length);
  // UnixFS: type 2 (file), the bytes, their number; inside a DAG node without links.
  const leaf = Buffer.concat([Buffer.from([8, 2, 18]), size, file, Buffer.from([24]), size]);
  const node = Buffer.concat([Buffer.from([10]), varint(leaf.length), leaf]);
  return `1220${createHash('sha256').update(node).digest('hex')}`;
}

/** The multihash that a contract's code ends with. @throws RangeError when there is none */
export function declaredMetadataHash(code: string): string {
  const found = /64697066735822(1220[0-9a-f]{64})64736f6c6343[0-9a-f]{6}0033$/.exec(code.toLowerCase());
  if (found?.[1] === undefined) throw new RangeError('the code does not end with the hash of its metadata');
  return found[1];
}
