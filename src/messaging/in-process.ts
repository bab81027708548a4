/** The transport of a single process: function calls, with the same promises as the one over Redis. */
import type { UserCommand } from '../domain/commands.ts';
import type { AppliedCommand } from '../domain/events.ts';
import { deduplicateCommands } from './deduplicate-commands.ts';
import { deliverInOrder } from './in-order.ts';
import type {
  BookSnapshot,
  CommandHandler,
  CommandReply,
  EventSubscriber,
  Stop,
  SubmitOptions,
  Transport,
  TransportProblem,
} from './port.ts';

/** How long after `notAfterMs` an answer is still awaited: the command may have started at the last moment. */
const ANSWER_GRACE_MS = 5_000;
/** How often it is looked who waits too long: a timer for each command would cost more than its way through here. */
const DEADLINE_CHECK_MS = 250;
/** For commands sent again at once. One that is sent again later, its answer having taken too long, is refused by the engine, which knows its nonce. */
const REPLIES_KEPT = 256;
const NOT_STARTED: CommandReply = { kind: 'overloaded', retryAfterMs: 500 };

/** `answered` settles when the handler has; `settle` may have said `unknown` before. */
type UnderWay = {
  readonly answered: Promise<void>;
  readonly answerBeforeMs: number;
  readonly settle: (reply: CommandReply) => void;
};

/** Rejects also when the handler throws before it has promised anything. */
function replyOf(serve: CommandHandler, command: UserCommand, submitted: SubmitOptions): Promise<CommandReply> {
  try {
    return serve(command, submitted);
  } catch (cause) {
    return Promise.reject(cause);
  }
}

export function createInProcessTransport(options: { onProblem: TransportProblem }): Transport {
  const subscribers = new Set<(frames: readonly AppliedCommand[]) => void>();
  let handler: CommandHandler | undefined;
  let source: (() => BookSnapshot) | undefined;
  let queued: AppliedCommand[] = [];
  const underWay = new Set<UnderWay>();
  let isChecking = false;

  // Delivery waits for the next turn of the event loop, so that an acknowledgement never waits for a subscriber.
  function deliver(): void {
    const frames = queued;
    queued = [];
    for (const subscriber of subscribers) {
      try {
        subscriber(frames);
      } catch (cause) {
        options.onProblem({ message: 'an event subscriber threw', cause });
      }
    }
  }

  function checkDeadlines(): void {
    const nowMs = Date.now();
    for (const waiting of underWay) {
      if (nowMs < waiting.answerBeforeMs) continue;
      underWay.delete(waiting);
      waiting.settle({ kind: 'unknown' });
    }
    isChecking = underWay.size > 0;
    if (isChecking) setTimeout(checkDeadlines, DEADLINE_CHECK_MS);
  }

  return {
    submit(command, submitted) {
      const serve = handler;
      if (serve === undefined || Date.now() > submitted.notAfterMs) return Promise.resolve(NOT_STARTED);
      return new Promise((settle) => {
        const answer = (reply: CommandReply): void => {
          underWay.delete(waiting);
          settle(reply);
        };
        const fail = (cause: unknown): void => {
          options.onProblem({ message: `the handler of ${command.kind} threw`, cause });
          answer({ kind: 'unknown' });
        };
        const waiting: UnderWay = {
          answered: replyOf(serve, command, submitted).then(answer, fail),
          answerBeforeMs: submitted.notAfterMs + ANSWER_GRACE_MS,
          settle,
        };
        underWay.add(waiting);
        if (!isChecking) setTimeout(checkDeadlines, DEADLINE_CHECK_MS);
        isChecking = true;
      });
    },
    async serveCommands(served) {
      const deduplicated = deduplicateCommands(served, REPLIES_KEPT);
      handler = deduplicated;
      return async () => {
        if (handler === deduplicated) handler = undefined;
        await Promise.allSettled(Array.from(underWay, ({ answered }) => answered));
      };
    },
    publish(frames) {
      if (frames.length === 0 || subscribers.size === 0) return;
      if (queued.length === 0) setImmediate(deliver);
      queued.push(...frames);
    },
    async subscribe(subscriber: EventSubscriber): Promise<Stop> {
      const inOrder = deliverInOrder(subscriber);
      subscribers.add(inOrder);
      return async () => {
        subscribers.delete(inOrder);
      };
    },
    async serveSnapshots(served) {
      source = served;
      return async () => {
        if (source === served) source = undefined;
      };
    },
    async requestSnapshot() {
      try {
        return source?.();
      } catch (cause) {
        options.onProblem({ message: 'the snapshot source threw', cause });
        return undefined;
      }
    },
    async close() {
      handler = undefined;
      source = undefined;
      subscribers.clear();
    },
  };
}
