/**
 * Operators' decisions, from their table into the journal, each exactly once.
 *
 * Before a request is handed over, the journal's end of that moment is written beside it; afterwards its command's sequence. An engine that
 * starts again between the two looks for the command behind that mark before it repeats it. The commands carry the request's
 * number (in their reason) or, like a market's state, come from nowhere else, so that an equal command there is this one.
 *
 * They are journaled in the order of their numbers, except that a reseal, which has to wait until batches are published, keeps no other back.
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
  readonly submit: (command: OperatorDecision) => Promise<SubmitOutcome>;
  readonly onWarning: (message: string, error: unknown) => void;
  readonly pollIntervalMs?: number;
};

export type SubmitOutcome =
  | SequencerReply
  | { readonly kind: 'refused'; readonly reason: string }
  /** Not journaled: what it needs is not there yet. */
  | { readonly kind: 'later' };

const POLL_INTERVAL_MS = 1_000;
const REQUESTS_PER_TURN = 20;

/** Starts looking for requests; the engine must lead. @returns ends it, after the request under way */
export function startOperatorRequests(options: OperatorRequestsOptions): () => Promise<void> {
  const abort = new AbortController();
  const knownAbsent = new Set<number>();
  const loop = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      try {
        for (const request of await waitingOperatorRequests(options.pool, REQUESTS_PER_TURN)) {
          if (abort.signal.aborted || !(await handle(options, request, knownAbsent))) break;
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

/**
 * @param knownAbsent requests that this process handed over and that are certainly not journaled, so that nobody need look for them
 * @returns false when the engine did not take it: the later ones must wait too
 */
async function handle(
  options: OperatorRequestsOptions,
  request: OperatorRequest,
  knownAbsent: Set<number>,
): Promise<boolean> {
  const { pool } = options;
  const { id } = request;
  const end = async (outcome: { journalSequence: number } | { refused: string }): Promise<true> => {
    await markOperatorRequestHandled(pool, id, outcome);
    knownAbsent.delete(id);
    return true;
  };
  const command = numbered(request);
  // First of all: once it is journaled, it may well make no sense any more.
  if (request.submittedAfter !== undefined && !knownAbsent.has(id)) {
    const found = await findCommand(options.journal, request.submittedAfter + 1, command);
    if (found !== undefined) return end({ journalSequence: found });
  }
  const refused = options.refuse(command);
  if (refused !== undefined) return end({ refused });
  await markOperatorRequestSubmitted(pool, id, options.lastSequence());
  let outcome: SubmitOutcome;
  try {
    outcome = await options.submit(command);
  } catch (error) {
    // The journal's format cannot hold it: nothing was handed over.
    if (!(error instanceof RangeError)) throw error;
    return end({ refused: error.message });
  }
  if (outcome.kind === 'committed') return end({ journalSequence: outcome.sequence });
  if (outcome.kind === 'refused') return end({ refused: outcome.reason });
  if (outcome.kind !== 'unknown') knownAbsent.add(id);
  return outcome.kind === 'later';
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
  if (wanted.kind === 'resealBatch') return command.kind === wanted.kind && command.reason === wanted.reason;
  return command.kind === wanted.kind && Buffer.compare(encodeCommand(command), encodeCommand(wanted)) === 0;
}
