/**
 * Events over a Redis stream: the leader adds frames, every gateway reads them all.
 *
 * A stream that was trimmed, or a server that restarted empty, loses frames: subscribers see the gap in the journal sequence.
 * So that a loss at the very end shows too, the publisher repeats its last frame every second while nothing new comes.
 */
import type { Redis } from 'ioredis';
import type { AppliedCommand } from '../../domain/events.ts';
import { deliverInOrder } from '../in-order.ts';
import type { EventSubscriber, Stop, TransportProblem } from '../port.ts';
import { fieldsOf, pause, type RedisKeys, type StreamAnswer, type StreamEntry } from './connection.ts';
import type { Sealer } from './seal.ts';

/** Entries kept; a gateway that falls further behind starts again from a snapshot. */
const ENTRIES_KEPT = 5_000;
const FRAMES_PER_ENTRY_MAX = 200;
const REPEAT_AFTER_MS = 1_000;
const READ_COUNT = 100;
const BLOCK_MS = 500;

export class RedisEventPublisher {
  private readonly redis: Redis;
  private readonly keys: RedisKeys;
  private readonly sealer: Sealer;
  private readonly onProblem: TransportProblem;
  private queued: AppliedCommand[] = [];
  private last: AppliedCommand | undefined;
  private quiet = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(redis: Redis, keys: RedisKeys, sealer: Sealer, onProblem: TransportProblem) {
    this.redis = redis;
    this.keys = keys;
    this.sealer = sealer;
    this.onProblem = onProblem;
  }

  publish(frames: readonly AppliedCommand[]): void {
    if (frames.length === 0) return;
    this.timer ??= setInterval(() => this.repeatLast(), REPEAT_AFTER_MS);
    if (this.queued.length === 0) setImmediate(() => this.flush());
    for (const frame of frames) this.queued.push(frame);
  }

  close(): void {
    clearInterval(this.timer);
    this.flush();
  }

  private flush(): void {
    const frames = this.queued;
    this.queued = [];
    this.quiet = false;
    this.last = frames.at(-1) ?? this.last;
    for (let i = 0; i < frames.length; i += FRAMES_PER_ENTRY_MAX) this.add(frames.slice(i, i + FRAMES_PER_ENTRY_MAX));
  }

  private repeatLast(): void {
    if (this.quiet && this.last !== undefined) this.add([this.last]);
    this.quiet = true;
  }

  private add(frames: readonly AppliedCommand[]): void {
    if (this.redis.status !== 'ready') return;
    this.redis
      .xadd(this.keys.events, 'MAXLEN', '~', ENTRIES_KEPT, '*', 'frames', this.sealer.seal(JSON.stringify(frames)))
      .catch((cause: unknown) => this.onProblem({ message: 'publishing events failed', cause }));
  }
}

export class RedisEventReader {
  private readonly reader: Redis;
  private readonly keys: RedisKeys;
  private readonly sealer: Sealer;
  private readonly onProblem: TransportProblem;
  private readonly onForged: () => void;
  private readonly subscribers = new Set<(frames: readonly AppliedCommand[]) => void>();
  private stopping = false;
  private reconnected = false;
  private loop: Promise<void> | undefined;
  private starting: Promise<void> | undefined;

  /** @param options.reader a connection of its own: it blocks */
  constructor(options: {
    readonly reader: Redis;
    readonly keys: RedisKeys;
    readonly sealer: Sealer;
    readonly onProblem: TransportProblem;
    readonly onForged: () => void;
  }) {
    const { reader } = options;
    this.reader = reader;
    this.keys = options.keys;
    this.sealer = options.sealer;
    this.onProblem = options.onProblem;
    this.onForged = options.onForged;
    reader.on('ready', () => {
      this.reconnected = true;
    });
  }

  async subscribe(subscriber: EventSubscriber): Promise<Stop> {
    const inOrder = deliverInOrder(subscriber);
    this.subscribers.add(inOrder);
    this.starting ??= this.start();
    await this.starting;
    return async () => {
      this.subscribers.delete(inOrder);
    };
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.subscribers.clear();
    await this.loop;
  }

  private async start(): Promise<void> {
    const from = await this.lastId();
    this.loop = this.run(from);
  }

  private async run(start: string): Promise<void> {
    let from = start;
    while (!this.stopping) {
      try {
        if (this.reconnected) {
          this.reconnected = false;
          // Ids are times: a server that came back empty with an earlier clock would hide everything until it caught up.
          if (isBefore(await this.lastId(), from)) from = '0-0';
        }
        const entries = await this.read(from);
        for (const entry of entries) {
          from = entry[0];
          this.deliver(entry);
        }
      } catch (cause) {
        if (this.stopping) return;
        this.onProblem({ message: 'reading events failed', cause });
        await pause(100);
      }
    }
  }

  private async read(from: string): Promise<readonly StreamEntry[]> {
    const answer = (await this.reader.xread(
      'COUNT',
      READ_COUNT,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      this.keys.events,
      from,
    )) as StreamAnswer;
    return answer?.[0]?.[1] ?? [];
  }

  private async lastId(): Promise<string> {
    const [newest] = await this.reader.xrevrange(this.keys.events, '+', '-', 'COUNT', 1);
    return newest?.[0] ?? '0-0';
  }

  private deliver([, flat]: StreamEntry): void {
    const text = this.sealer.open(fieldsOf(flat ?? []).get('frames') ?? '');
    if (text === undefined) {
      this.onForged();
      return;
    }
    const frames = JSON.parse(text) as readonly AppliedCommand[];
    for (const subscriber of this.subscribers) {
      try {
        subscriber(frames);
      } catch (cause) {
        this.onProblem({ message: 'an event subscriber threw', cause });
      }
    }
  }
}

/** Order of stream ids, `milliseconds-counter`. */
function isBefore(a: string, b: string): boolean {
  const [aMs = 0, aCount = 0] = a.split('-').map(Number);
  const [bMs = 0, bCount = 0] = b.split('-').map(Number);
  return aMs < bMs || (aMs === bMs && aCount < bCount);
}
