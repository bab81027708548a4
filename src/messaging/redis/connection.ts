/** Connections and key names. */
import { Redis } from 'ioredis';
import type { TransportProblem } from '../port.ts';

export type RedisOptions = {
  /** `redis://…` */
  readonly url: string;
  /** Keeps exchanges on one server apart: chain id and vault. */
  readonly namespace: string;
  readonly onProblem: TransportProblem;
};

export type RedisTransportOptions = RedisOptions & {
  /** Shared by the exchange's processes, unknown to Redis; at least 32 characters. What is not sealed with it is refused. */
  readonly secret: string;
  /** Told of messages that nobody of ours sealed, at most once a second, with how many there were. */
  readonly onForged: (forged: { readonly what: string; readonly count: number }) => void;
};

export type RedisKeys = {
  readonly commands: string;
  readonly events: string;
  readonly snapshotRequests: string;
  readonly reply: (requestId: string) => string;
};

/** The braces put every key into one slot of a cluster. */
export function redisKeys(namespace: string): RedisKeys {
  const root = `{${namespace}}`;
  return {
    commands: `${root}:commands`,
    events: `${root}:events`,
    snapshotRequests: `${root}:snapshot-requests`,
    reply: (requestId) => `${root}:reply:${requestId}`,
  };
}

const RECONNECT_MAX_MS = 500;

/**
 * For calls that answer at once. Without a connection they fail at once, too: the caller knows that nothing was sent.
 * It reconnects by itself for ever.
 *
 * @param answerTimeoutMs after so long without an answer a call fails, too; otherwise when the connection is lost
 */
export function connectForCalls(options: RedisOptions, answerTimeoutMs?: number): Redis {
  return connect(options, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    ...(answerTimeoutMs === undefined ? {} : { commandTimeout: answerTimeoutMs }),
  });
}

/** For subscriptions and blocking reads, one each; they wait out a lost connection. */
export function connectForReading(options: RedisOptions): Redis {
  return connect(options, {
    enableOfflineQueue: true,
    maxRetriesPerRequest: null,
    autoResendUnfulfilledCommands: true,
  });
}

function connect(options: RedisOptions, behaviour: object): Redis {
  const connection = new Redis(options.url, {
    ...behaviour,
    retryStrategy: (attempt: number) => Math.min(attempt * 25, RECONNECT_MAX_MS),
    connectTimeout: 5_000,
    keepAlive: 10_000,
  });
  let told = false;
  connection.on('error', (cause) => {
    if (!told) options.onProblem({ message: 'the connection to Redis was lost', cause });
    told = true;
  });
  connection.on('ready', () => {
    told = false;
  });
  return connection;
}

/** Resolves when the connection can be used. @throws Error when it is not within `timeoutMs` */
export async function untilReady(connection: Redis, timeoutMs: number): Promise<void> {
  if (connection.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      connection.off('ready', onReady);
      reject(new Error(`Redis was not reachable within ${timeoutMs} ms`));
    }, timeoutMs);
    const onReady = (): void => {
      clearTimeout(timer);
      resolve();
    };
    connection.once('ready', onReady);
  });
}

export function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Fields of a stream entry, `['name', 'value', …]`, by name. */
export function fieldsOf(flat: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i] ?? '', flat[i + 1] ?? '');
  return fields;
}

/** One entry of XREAD's answer. A deleted pending entry has no fields. */
export type StreamEntry = readonly [id: string, fields: readonly string[] | null];
/** XREAD's answer: null when it timed out. */
export type StreamAnswer = readonly (readonly [key: string, entries: readonly StreamEntry[]])[] | null;
