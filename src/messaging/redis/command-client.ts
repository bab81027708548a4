/**
 * The gateway's side of commands over Redis: XADD, await the reply on this client's own channel, send the same request again when
 * none comes, and answer `unknown` when the time is over.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { UserCommand } from '../../domain/commands.ts';
import type { TimestampMs } from '../../domain/units.ts';
import type { CommandReply, SubmitOptions } from '../port.ts';
import { pause, type RedisKeys } from './connection.ts';
import type { Sealer } from './seal.ts';

/** The stream is trimmed about here; an entry that nobody read by then is too old to be started anyway. */
const COMMANDS_KEPT = 50_000;
const RESEND_FIRST_MS = 400;
const RESEND_LATER_MS = 1_000;
/** How long after `notAfterMs` an answer is still awaited: the command may have started at the last moment. */
const ANSWER_GRACE_MS = 2_000;
const RETRY_AFTER_MS = 500;

/** What a client seals; the attempt stands beside it, since the same request is sent again. */
export type CommandRequest = {
  readonly id: string;
  readonly replyChannel: string;
  readonly notAfterMs: TimestampMs;
  readonly command: UserCommand;
};

export class RedisCommandClient {
  private readonly redis: Redis;
  private readonly keys: RedisKeys;
  private readonly replyChannel: string;
  private readonly sealer: Sealer;
  private readonly waiting = new Map<string, (reply: CommandReply) => void>();
  private readonly clientId = randomUUID();
  private requests = 0;

  /** The owner subscribes to `replyChannel` and hands what arrives to `receive`. */
  constructor(redis: Redis, keys: RedisKeys, replyChannel: string, sealer: Sealer) {
    this.redis = redis;
    this.keys = keys;
    this.replyChannel = replyChannel;
    this.sealer = sealer;
  }

  async submit(command: UserCommand, options: SubmitOptions): Promise<CommandReply> {
    const requestId = `${this.clientId}:${++this.requests}`;
    const { notAfterMs } = options;
    const request: CommandRequest = { id: requestId, replyChannel: this.replyChannel, notAfterMs, command };
    const sealed = this.sealer.seal(JSON.stringify(request));
    let reply: CommandReply | undefined;
    const answered = new Promise<void>((resolve) => {
      this.waiting.set(requestId, (received) => {
        reply = received;
        resolve();
      });
    });
    let maybeSent = false;
    for (let attempt = 1; reply === undefined && Date.now() < options.notAfterMs; attempt++) {
      const sent = await this.send(attempt, sealed);
      maybeSent ||= sent !== 'not sent';
      const wait = attempt === 1 ? RESEND_FIRST_MS : RESEND_LATER_MS;
      await Promise.race([answered, pause(sent === 'sent' ? Math.min(wait, untilMs(options.notAfterMs)) : 50)]);
    }
    if (reply === undefined && maybeSent) {
      await Promise.race([answered, pause(untilMs(options.notAfterMs + ANSWER_GRACE_MS))]);
    }
    this.waiting.delete(requestId);
    if (reply !== undefined) return reply;
    return maybeSent ? { kind: 'unknown' } : { kind: 'overloaded', retryAfterMs: RETRY_AFTER_MS };
  }

  receive(requestId: string, reply: CommandReply): void {
    this.waiting.get(requestId)?.(reply);
  }

  close(): void {
    for (const answer of this.waiting.values()) answer({ kind: 'unknown' });
  }

  private async send(attempt: number, sealed: string): Promise<'sent' | 'not sent' | 'perhaps'> {
    if (this.redis.status !== 'ready') return 'not sent';
    const fields = ['attempt', `${attempt}`, 'request', sealed];
    try {
      await this.redis.xadd(this.keys.commands, 'MAXLEN', '~', COMMANDS_KEPT, '*', ...fields);
      return 'sent';
    } catch {
      // The connection went while the answer was awaited: the entry may stand in the stream. It is sent again under the same id.
      return 'perhaps';
    }
  }
}

function untilMs(moment: number): number {
  return Math.max(0, moment - Date.now());
}
