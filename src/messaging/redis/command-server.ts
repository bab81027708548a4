/**
 * The engine's side of commands over Redis: reads the stream through a consumer group, runs each request once, answers on the
 * client's channel.
 *
 * Once although delivery is at least once: a request id that is under way is not started again; a finished one is answered
 * from this process's memory or, after a change of leader, from the reply kept in Redis until nobody resends it any more. All
 * leaders read under one consumer name, so that a new one is handed what the old one had read but not answered.
 * What even that lets through (Redis lost everything and the leader changed at once) meets the engine's own refusal of a used nonce.
 */
import type { Redis } from 'ioredis';
import type { UserCommand } from '../../domain/commands.ts';
import type { TimestampMs } from '../../domain/units.ts';
import type { CommandHandler, CommandReply, TransportProblem } from '../port.ts';
import { fieldsOf, pause, type RedisKeys, type StreamAnswer, type StreamEntry } from './connection.ts';

const GROUP = 'engine';
const CONSUMER = 'leader';
const READ_COUNT = 256;
const BLOCK_MS = 500;
/** Requests under way beyond which nothing more is read: the stream holds the rest, `notAfterMs` bounds their wait. */
const UNDER_WAY_MAX = 8_192;
/** A reply is kept this long after `notAfterMs`. */
const REPLY_KEPT_MS = 5_000;
const RETRY_AFTER_MS = 500;

type Request = {
  readonly id: string;
  readonly attempt: number;
  readonly replyChannel: string;
  readonly notAfterMs: TimestampMs;
  readonly command: UserCommand;
};

export class RedisCommandServer {
  private readonly reader: Redis;
  private readonly redis: Redis;
  private readonly keys: RedisKeys;
  private readonly handler: CommandHandler;
  private readonly onProblem: TransportProblem;
  private readonly underWay = new Map<string, Promise<void>>();
  /** Replies given, oldest first, until nobody can ask again. */
  private readonly given = new Map<string, { readonly reply: string; readonly untilMs: number }>();
  private stopping = false;
  private loop: Promise<void> | undefined;

  /** @param connections `reader` blocks, `calls` does not */
  constructor(
    connections: { readonly reader: Redis; readonly calls: Redis },
    keys: RedisKeys,
    handler: CommandHandler,
    onProblem: TransportProblem,
  ) {
    this.reader = connections.reader;
    this.redis = connections.calls;
    this.keys = keys;
    this.handler = handler;
    this.onProblem = onProblem;
  }

  start(): void {
    this.loop = this.run();
  }

  /** Reads no more and waits for what is under way. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop;
    await Promise.allSettled(this.underWay.values());
  }

  private async run(): Promise<void> {
    // From '0': what a leader before read and did not answer; then what nobody read.
    let from = '0';
    while (!this.stopping) {
      try {
        const entries = await this.read(from);
        if (from !== '>' && entries.length === 0) from = '>';
        else if (from !== '>') from = entries.at(-1)?.[0] ?? '>';
        const redelivered = from !== '>';
        for (const entry of entries) this.receive(entry, redelivered);
        this.forget();
        while (this.underWay.size > UNDER_WAY_MAX) await Promise.race(this.underWay.values());
      } catch (cause) {
        if (this.stopping) return;
        if (!(await this.recreateGroup(cause))) await pause(100);
      }
    }
  }

  private async read(from: string): Promise<readonly StreamEntry[]> {
    const answer = (await this.reader.xreadgroup(
      'GROUP',
      GROUP,
      CONSUMER,
      'COUNT',
      READ_COUNT,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      this.keys.commands,
      from,
    )) as StreamAnswer;
    return answer?.[0]?.[1] ?? [];
  }

  /** A server that restarted empty has no group; it is made again from the beginning of whatever was added since. */
  private async recreateGroup(cause: unknown): Promise<boolean> {
    if (!(cause instanceof Error) || !cause.message.startsWith('NOGROUP')) {
      this.onProblem({ message: 'reading commands failed', cause });
      return false;
    }
    try {
      await this.reader.xgroup('CREATE', this.keys.commands, GROUP, '0', 'MKSTREAM');
      return true;
    } catch (failure) {
      // Another leader made it first.
      if (failure instanceof Error && failure.message.startsWith('BUSYGROUP')) return true;
      this.onProblem({ message: 'making the consumer group failed', cause: failure });
      return false;
    }
  }

  private receive([entryId, flat]: StreamEntry, redelivered: boolean): void {
    const request = requestOf(flat ?? []);
    if (request === undefined) {
      this.onProblem({ message: `entry ${entryId} is not a command; it is dropped`, cause: flat });
      void this.acknowledge(entryId);
      return;
    }
    if (this.underWay.has(request.id)) {
      // The one under way answers for both.
      void this.acknowledge(entryId);
      return;
    }
    const handled = this.answer(request, redelivered)
      .then(() => this.acknowledge(entryId))
      .finally(() => this.underWay.delete(request.id));
    this.underWay.set(request.id, handled);
  }

  private async answer(request: Request, redelivered: boolean): Promise<void> {
    const repeated = redelivered || request.attempt > 1;
    const known = this.given.get(request.id)?.reply ?? (repeated ? await this.keptReply(request.id) : undefined);
    if (known !== undefined) {
      await this.send(request, known);
      return;
    }
    if (Date.now() > request.notAfterMs) {
      // A first delivery was certainly not started. Of a repeated one nobody knows: the client's own deadline says `unknown`.
      if (!repeated) await this.send(request, JSON.stringify({ kind: 'overloaded', retryAfterMs: RETRY_AFTER_MS }));
      return;
    }
    const reply = await this.handle(request);
    if (reply.kind !== 'unknown') await this.send(request, JSON.stringify(reply));
  }

  private async handle(request: Request): Promise<CommandReply> {
    try {
      return await this.handler(request.command, { notAfterMs: request.notAfterMs });
    } catch (cause) {
      this.onProblem({ message: `the handler of ${request.command.kind} threw`, cause });
      return { kind: 'unknown' };
    }
  }

  private async keptReply(requestId: string): Promise<string | undefined> {
    try {
      return (await this.redis.get(this.keys.reply(requestId))) ?? undefined;
    } catch {
      return undefined;
    }
  }

  private async send(request: Request, reply: string): Promise<void> {
    const keptMs = Math.max(1, request.notAfterMs + REPLY_KEPT_MS - Date.now());
    this.given.delete(request.id);
    this.given.set(request.id, { reply, untilMs: Date.now() + keptMs });
    const message = `{"kind":"reply","id":${JSON.stringify(request.id)},"reply":${reply}}`;
    try {
      await Promise.all([
        this.redis.publish(request.replyChannel, message),
        this.redis.set(this.keys.reply(request.id), reply, 'PX', keptMs),
      ]);
    } catch (cause) {
      // The client resends and is answered from memory.
      this.onProblem({ message: 'sending a reply failed', cause });
    }
  }

  private async acknowledge(entryId: string): Promise<void> {
    try {
      await Promise.all([
        this.redis.xack(this.keys.commands, GROUP, entryId),
        this.redis.xdel(this.keys.commands, entryId),
      ]);
    } catch (cause) {
      // It is delivered again to the next leader, which finds the reply.
      this.onProblem({ message: 'acknowledging a command failed', cause });
    }
  }

  private forget(): void {
    const nowMs = Date.now();
    for (const [id, { untilMs }] of this.given) {
      if (untilMs > nowMs) return;
      this.given.delete(id);
    }
  }
}

/** Undefined when the entry is not one that a client wrote. The command's content was checked by the gateway, and is by the engine. */
function requestOf(flat: readonly string[]): Request | undefined {
  const fields = fieldsOf(flat);
  const id = fields.get('id');
  const replyChannel = fields.get('reply');
  const notAfterMs = Number(fields.get('notAfterMs'));
  const attempt = Number(fields.get('attempt'));
  const body = fields.get('command');
  if (id === undefined || replyChannel === undefined || body === undefined) return undefined;
  if (!Number.isSafeInteger(notAfterMs) || !Number.isSafeInteger(attempt)) return undefined;
  try {
    const command: unknown = JSON.parse(body);
    if (typeof command !== 'object' || command === null || !('kind' in command)) return undefined;
    return { id, attempt, replyChannel, notAfterMs: notAfterMs as TimestampMs, command: command as UserCommand };
  } catch {
    return undefined;
  }
}
