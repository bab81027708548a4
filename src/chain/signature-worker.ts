/** Worker thread of the signature pool: takes groups of signed messages, answers with groups of results in the same order. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Eip712Domain } from '../domain/typed-data.ts';
import { type CheckedSignature, checkSignature, type SignedMessage } from './check-signature.ts';
import { createDigester } from './digests.ts';

export type WorkerResult = { readonly checked: CheckedSignature } | { readonly error: string };

if (parentPort === null) throw new Error('the signature worker runs as a worker thread only');
const port = parentPort;
const digester = createDigester(workerData as Eip712Domain);

port.on('message', (group: readonly SignedMessage[]) => {
  port.postMessage(
    group.map((signed): WorkerResult => {
      try {
        return { checked: checkSignature(digester, signed) };
      } catch (error) {
        // One message out of range must not take its neighbours with it.
        return { error: error instanceof Error ? error.message : String(error) };
      }
    }),
  );
});
