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
const NOT_STARTED: CommandReply = { kind: 'overloaded', retryAfterMs: 500 };

export function createInProcessTransport(options: { onProblem: TransportProblem }): Transport {
  const subscribers = new Set<(frames: readonly AppliedCommand[]) => void>();
  let handler: CommandHandler | undefined;
  let source: (() => BookSnapshot) | undefined;
  let queued: AppliedCommand[] = [];
  const underWay = new Set<Promise<CommandReply>>();

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

  async function handle(serve: CommandHandler, command: UserCommand, submitted: SubmitOptions): Promise<CommandReply> {
    try {
      return await serve(command, submitted);
    } catch (cause) {
      options.onProblem({ message: `the handler of ${command.kind} threw`, cause });
      return { kind: 'unknown' };
    }
  }

  return {
    async submit(command, submitted) {
      if (handler === undefined || Date.now() > submitted.notAfterMs) return NOT_STARTED;
      const answered = handle(handler, command, submitted);
      underWay.add(answered);
      try {
        return await withDeadline(answered, submitted.notAfterMs + ANSWER_GRACE_MS - Date.now());
      } finally {
        underWay.delete(answered);
      }
    },
    async serveCommands(served) {
      const deduplicated = deduplicateCommands(served);
      handler = deduplicated;
      return async () => {
        if (handler === deduplicated) handler = undefined;
        await Promise.allSettled(underWay);
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

/** The reply, or `unknown` once `waitMs` has passed. */
async function withDeadline(answered: Promise<CommandReply>, waitMs: number): Promise<CommandReply> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<CommandReply>((resolve) => {
    timer = setTimeout(() => resolve({ kind: 'unknown' }), Math.max(0, waitMs));
  });
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
