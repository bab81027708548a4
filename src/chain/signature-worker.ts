/**
 * Worker thread of the signature pool: recovers groups of signatures.
 *
 * A group is one block of bytes, 97 for each signature: digest (32), r and s (64), recovery bit. The answer has 20 for each: the
 * signer's address, zero when no key matches.
 */
import { parentPort } from 'node:worker_threads';
import { writeHex } from './hex.ts';
import { recoverAddress } from './recover.ts';
import { ADDRESS_BYTES, END_WORKER, REQUEST_BYTES } from './signature-group.ts';

if (parentPort === null) throw new Error('the signature worker runs as a worker thread only');
const port = parentPort;

port.on('message', (group: Uint8Array | typeof END_WORKER) => {
  if (group === END_WORKER) {
    port.close();
    return;
  }
  const count = group.length / REQUEST_BYTES;
  const signers = new Uint8Array(count * ADDRESS_BYTES);
  for (let index = 0; index < count; index++) {
    const at = index * REQUEST_BYTES;
    const parts = { rs: group.subarray(at + 32, at + 96), yParity: group[at + 96] === 1 ? 1 : 0 } as const;
    const signer = recoverAddress(group.subarray(at, at + 32), parts);
    if (signer !== undefined) writeHex(signers, index * ADDRESS_BYTES, signer);
  }
  port.postMessage(signers);
});
