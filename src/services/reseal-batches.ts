/**
 * Reseals, from the request to the journaled command.
 *
 * The command names the content of every batch that it replaces, or it changes nothing (see the engine's reseal.ts). So sealing rests until
 * all that is in flight is published, and the command is made when no row is under way: what it names is then what it meets. A request
 * that is not done within `PUBLISH_WAIT_MS` is left for the next look, and sealing goes on meanwhile: what keeps batches from being
 * published (no database, no signer) must not keep trades from being sealed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperatorCommand } from '../domain/commands.ts';
import type { Hash } from '../domain/units.ts';
import type { Engine } from '../offchain-engine/engine.ts';
import type { Sequencer } from '../offchain-engine/sequencer/sequencer.ts';
import type { ResealRequest } from '../storage/operator-requests.ts';
import type { BatchPublishing } from './batch-publishing.ts';
import type { SubmitOutcome } from './operator-requests.ts';

const PUBLISH_WAIT_MS = 5_000;
const LOOK_AGAIN_MS = 20;

export type ResealOptions = {
  readonly engine: Engine;
  readonly sequencer: Pick<Sequencer<Engine>, 'restSealing' | 'submitAlone'>;
  readonly contentHashOf: BatchPublishing['contentHashOf'];
  /** Why the engine could make nothing of it; undefined when it can. */
  readonly refuse: (request: ResealRequest) => string | undefined;
};

export async function resealBatch(options: ResealOptions, request: ResealRequest): Promise<SubmitOutcome> {
  const resume = options.sequencer.restSealing();
  try {
    const deadlineMs = performance.now() + PUBLISH_WAIT_MS;
    while (performance.now() < deadlineMs) {
      if (commandOf(options, request) === undefined) {
        await sleep(LOOK_AGAIN_MS);
        continue;
      }
      let refused: string | undefined;
      // Since the look, rows that were under way may have sealed a batch, or have told of one that landed.
      const reply = await options.sequencer.submitAlone(() => {
        refused = options.refuse(request);
        return refused === undefined ? commandOf(options, request) : undefined;
      });
      if (reply !== undefined) return reply;
      if (refused !== undefined) return { kind: 'refused', reason: refused };
    }
    return { kind: 'later' };
  } finally {
    resume();
  }
}

/** Undefined while one of the batches that it replaces is not published. */
function commandOf(options: ResealOptions, request: ResealRequest): OperatorCommand | undefined {
  const { sealedAt: _, ...asked } = request;
  const contentHashes: Hash[] = [];
  for (const batch of options.engine.core.batches) {
    if (batch.batchId < request.batchId) continue;
    const contentHash = options.contentHashOf(batch);
    if (contentHash === undefined) return undefined;
    contentHashes.push(contentHash);
  }
  return { ...asked, contentHashes };
}
