/**
 * Operators' decisions, from their table into the journal, each exactly once.
 *
 * Before a request is handed over, the journal's end of that moment is written beside it; afterwards its command's sequence. An engine that
 * starts again between the two looks for the command behind that mark before it repeats it. The commands carry the request's
 * number (in their reason) or, like a market's state, come from nowhere else, so that an equal command there is this one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { encodeCommand } from '../domain/command-codec.ts';
import type { Command } from '../domain/commands.ts';
import { verifyRowContent } from '../offchain-engine/sequencer/journal-row.ts';
import type { JournalReader, SequencerReply } from '../offchain-engine/sequencer/ports.ts';
import {
  markOperatorRequestHandled,
  markOperatorRequestSubmitted,
  type OperatorDecision,
  type OperatorRequest,
  waitingOperatorRequests,
} from '../storage/operator-requests.ts';

export type OperatorRequestsOptions = {
  readonly pool: Pool;
  readonly journal: Pick<JournalReader, 'rowsFrom'>;
  /** Last command that the engine has applied. */
  readonly lastSequence: () => number;
  /** Why the engine could make nothing of the command; undefined when it can. */
  readonly refuse: (command: OperatorDecision) => string | undefined;
  readonly submit: (command: OperatorDecision) => Promise<SequencerReply>;
  readonly onWarning: (message: string, error: unknown) => void;
  readonly pollIntervalMs?: number;
};

const POLL_INTERVAL_MS = 1_000;
const REQUESTS_PER_TURN = 20;

/** Starts looking for requests; the engine must lead. @returns ends it, after the request under way */
export function startOperatorRequests(options: OperatorRequestsOptions): () => Promise<void> {
  const abort = new AbortController();
  const loop = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      try {
        for (const request of await waitingOperatorRequests(options.pool, REQUESTS_PER_TURN)) {
          if (abort.signal.aborted || !(await handle(options, request))) break;
        }
      } catch (error) {
        options.onWarning('an operator request could not be handled; trying again', error);
      }
      await sleep(options.pollIntervalMs ?? POLL_INTERVAL_MS, undefined, { signal: abort.signal }).catch(
        () => undefined,
      );
    }
  };
  const done = loop();
  return async () => {
    abort.abort();
    await done;
  };
}

/** @returns false when the engine did not take it: the later ones must wait too */
async function handle(options: OperatorRequestsOptions, request: OperatorRequest): Promise<boolean> {
  const { pool } = options;
  const command = numbered(request);
  const refused = options.refuse(command);
  if (refused !== undefined) {
    await markOperatorRequestHandled(pool, request.id, { refused });
    return true;
  }
  if (request.submittedAfter !== undefined) {
    const found = await findCommand(options.journal, request.submittedAfter + 1, command);
    if (found !== undefined) {
      await markOperatorRequestHandled(pool, request.id, { journalSequence: found });
      return true;
    }
  }
  await markOperatorRequestSubmitted(pool, request.id, options.lastSequence());
  let reply: SequencerReply;
  try {
    reply = await options.submit(command);
  } catch (error) {
    // The journal's format cannot hold it: nothing was handed over.
    if (!(error instanceof RangeError)) throw error;
    await markOperatorRequestHandled(pool, request.id, { refused: error.message });
    return true;
  }
  if (reply.kind !== 'committed') return false;
  await markOperatorRequestHandled(pool, request.id, { journalSequence: reply.sequence });
  return true;
}

/** The command as it is journaled: its reason names the request and who asked, so that the public journal tells. */
function numbered({ id, command, requestedBy }: OperatorRequest): OperatorDecision {
  return 'reason' in command ? { ...command, reason: `${command.reason} (request ${id} of ${requestedBy})` } : command;
}

async function findCommand(
  journal: Pick<JournalReader, 'rowsFrom'>,
  fromSequence: number,
  wanted: OperatorDecision,
): Promise<number | undefined> {
  for await (const row of journal.rowsFrom(fromSequence)) {
    for (const { sequence, command } of verifyRowContent(row)) {
      if (sequence >= fromSequence && isSame(command, wanted)) return sequence;
    }
  }
  return undefined;
}

function isSame(command: Command, wanted: OperatorDecision): boolean {
  return command.kind === wanted.kind && Buffer.compare(encodeCommand(command), encodeCommand(wanted)) === 0;
}
