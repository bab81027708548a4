/**
 * The engine's side of commands over Redis: reads the stream through a consumer group, runs each request once, answers on the
 * client's channel.
 *
 * Once although delivery is at least once: a request id that is under way is not started again; a finished one is answered
 * from this process's memory or, after a change of leader, from the reply kept in Redis until nobody resends it any more. All
 * leaders read under one consumer name, so that a new one is handed what the old one had read but not answered.
 * Requests and kept replies count only when they are sealed with the secret that gateways and engines share: signatures were checked by
 * the gateway, so whoever else can write to Redis must not be able to say that they were.
 * What even that lets through (Redis lost everything and the leader changed at once) meets the engine's own refusal of a used nonce.
 */
import type { Redis } from 'ioredis';
import type { CommandHandler, CommandReply, TransportProblem } from '../port.ts';
import type { CommandRequest } from './command-client.ts';
import { fieldsOf, pause, type RedisKeys, type StreamAnswer, type StreamEntry } from './connection.ts';
import type { Sealer } from './seal.ts';

const GROUP = 'engine';
const CONSUMER = 'leader';
const READ_COUNT = 256;
const BLOCK_MS = 500;
/** Requests under way beyond which nothing more is read: the stream holds the rest, `notAfterMs` bounds their wait. */
const UNDER_WAY_MAX = 8_192;
/** A reply is kept this long after `notAfterMs`. */
const REPLY_KEPT_MS = 5_000;
const RETRY_AFTER_MS = 500;

export type ReplyMessage = { readonly kind: 'reply'; readonly id: string; readonly reply: CommandReply };

type Request = CommandRequest & { readonly attempt: number };

export type CommandServerOptions = {
  /** `reader` blocks, `calls` does not. */
  readonly connections: { readonly reader: Redis; readonly calls: Redis };
  readonly keys: RedisKeys;
  readonly sealers: { readonly command: Sealer; readonly reply: Sealer };
  readonly handler: CommandHandler;
  readonly onProblem: TransportProblem;
  /** An entry that no gateway of ours wrote: it is refused, whatever it says. */
  readonly onForged: () => void;
};

export class RedisCommandServer {
  private readonly reader: Redis;
  private readonly redis: Redis;
  private readonly keys: RedisKeys;
  private readonly sealers: CommandServerOptions['sealers'];
  private readonly handler: CommandHandler;
  private readonly onProblem: TransportProblem;
  private readonly onForged: () => void;
  private readonly underWay = new Map<string, Promise<void>>();
  /** Replies given, oldest first, until nobody can ask again. */
  private readonly given = new Map<string, { readonly reply: string; readonly untilMs: number }>();
  private stopping = false;
  private loop: Promise<void> | undefined;

  constructor(options: CommandServerOptions) {
    this.reader = options.connections.reader;
    this.redis = options.connections.calls;
    this.keys = options.keys;
    this.sealers = options.sealers;
    this.handler = options.handler;
    this.onProblem = options.onProblem;
    this.onForged = options.onForged;
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
    // A pending entry that was trimmed from the stream; its client sends it again.
    if (flat === null || flat.length === 0) {
      void this.acknowledge(entryId);
      return;
    }
    const request = this.requestOf(flat);
    if (request === undefined) {
      this.onForged();
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
      if (!repeated) await this.send(request, this.seal(request, { kind: 'overloaded', retryAfterMs: RETRY_AFTER_MS }));
      return;
    }
    const reply = await this.handle(request);
    if (reply.kind !== 'unknown') await this.send(request, this.seal(request, reply));
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
      const kept = await this.redis.get(this.keys.reply(requestId));
      if (kept === null) return undefined;
      const text = this.sealers.reply.open(kept);
      const isOurs = text !== undefined && (JSON.parse(text) as { id?: unknown }).id === requestId;
      if (!isOurs) this.onForged();
      return isOurs ? kept : undefined;
    } catch {
      return undefined;
    }
  }

  private async send(request: Request, reply: string): Promise<void> {
    const keptMs = Math.max(1, request.notAfterMs + REPLY_KEPT_MS - Date.now());
    this.given.delete(request.id);
    this.given.set(request.id, { reply, untilMs: Date.now() + keptMs });
    try {
      await Promise.all([
        this.redis.publish(request.replyChannel, reply),
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

  private seal(request: Request, reply: CommandReply): string {
    const message: ReplyMessage = { kind: 'reply', id: request.id, reply };
    return this.sealers.reply.seal(JSON.stringify(message));
  }

  /** Undefined when no client of ours sealed the entry. The command's content was checked by the gateway, and is by the engine. */
  private requestOf(flat: readonly string[]): Request | undefined {
    const fields = fieldsOf(flat);
    const text = this.sealers.command.open(fields.get('request') ?? '');
    const attempt = Number(fields.get('attempt'));
    if (text === undefined || !Number.isSafeInteger(attempt)) return undefined;
    return { ...(JSON.parse(text) as CommandRequest), attempt };
  }
}
