/**
 * The transport between processes: commands and events over Redis Streams, replies and snapshots over pub/sub.
 *
 * Redis is transport only. It may restart empty, trim its streams, or deliver twice: clients resend, the engine's side knows what
 * it answered, and subscribers learn of lost frames from the journal sequence. Nor is it trusted: every message is sealed with a secret
 * that it does not have (see seal.ts), and one that is not is refused and told.
 */
import { randomUUID } from 'node:crypto';
import { deduplicateCommands } from '../deduplicate-commands.ts';
import type { BookSnapshot, Stop, Transport } from '../port.ts';
import { RedisCommandClient } from './command-client.ts';
import { RedisCommandServer, type ReplyMessage } from './command-server.ts';
import { connectForCalls, connectForReading, type RedisTransportOptions, redisKeys, untilReady } from './connection.ts';
import { RedisEventPublisher, RedisEventReader } from './event-stream.ts';
import { createSealer, type Sealer, type SealPurpose } from './seal.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A client resends what it lost the answer of within seconds. */
const REPLIES_KEPT = 4_096;

/** What arrives on the channel of one transport. */
type Message = ReplyMessage | { readonly kind: 'snapshot'; readonly id: string; readonly snapshot: BookSnapshot };
type SnapshotRequest = { readonly id: string; readonly replyChannel: string };

/** Connects, and starts nothing yet. @throws Error when Redis cannot be reached within 10 s */
export async function createRedisTransport(options: RedisTransportOptions): Promise<Transport> {
  const keys = redisKeys(options.namespace);
  const ownChannel = `{${options.namespace}}:to:${randomUUID()}`;
  const calls = connectForCalls(options);
  const channels = connectForReading(options);
  const eventConnection = connectForReading(options);
  const connections = [calls, channels, eventConnection];
  const sealer = (purpose: SealPurpose): Sealer => createSealer(options.secret, options.namespace, purpose);
  const sealers = { command: sealer('command'), reply: sealer('reply'), events: sealer('events') };
  const snapshotRequests = sealer('snapshot-request');
  const forgeries = countForgeries(options.onForged);
  const client = new RedisCommandClient(calls, keys, ownChannel, sealers.command);
  const publisher = new RedisEventPublisher(calls, keys, sealers.events, options.onProblem);
  const events = new RedisEventReader({
    reader: eventConnection,
    keys,
    sealer: sealers.events,
    onProblem: options.onProblem,
    onForged: () => forgeries.note('events'),
  });
  const snapshotsAwaited = new Map<string, (snapshot: BookSnapshot) => void>();
  const stops = new Set<Stop>();
  let snapshotSource: (() => BookSnapshot) | undefined;

  function receive(channel: string, sealed: string): void {
    const isRequest = channel === keys.snapshotRequests;
    const text = (isRequest ? snapshotRequests : sealers.reply).open(sealed);
    if (text === undefined) {
      forgeries.note(isRequest ? 'a request for a snapshot' : 'a reply');
      return;
    }
    try {
      if (isRequest) answerSnapshot(JSON.parse(text) as SnapshotRequest);
      else {
        const message = JSON.parse(text) as Message;
        if (message.kind === 'reply') client.receive(message.id, message.reply);
        else snapshotsAwaited.get(message.id)?.(message.snapshot);
      }
    } catch (cause) {
      options.onProblem({ message: `a message on ${channel} could not be handled`, cause });
    }
  }

  function answerSnapshot(request: SnapshotRequest): void {
    if (snapshotSource === undefined) return;
    const message: Message = { kind: 'snapshot', id: request.id, snapshot: snapshotSource() };
    calls
      .publish(request.replyChannel, sealers.reply.seal(JSON.stringify(message)))
      .catch((cause: unknown) => options.onProblem({ message: 'sending a snapshot failed', cause }));
  }

  try {
    await Promise.all(connections.map((connection) => untilReady(connection, CONNECT_TIMEOUT_MS)));
    channels.on('message', receive);
    await channels.subscribe(ownChannel);
  } catch (cause) {
    for (const connection of connections) connection.disconnect();
    throw cause;
  }

  function onceStopped(stop: Stop): Stop {
    const stopOnce = async (): Promise<void> => {
      if (stops.delete(stopOnce)) await stop();
    };
    stops.add(stopOnce);
    return stopOnce;
  }

  return {
    submit: (command, submitted) => client.submit(command, submitted),
    async serveCommands(handler) {
      const reader = connectForReading(options);
      const served = deduplicateCommands(handler, REPLIES_KEPT);
      const server = new RedisCommandServer({
        connections: { reader, calls },
        keys,
        sealers,
        handler: served,
        onProblem: options.onProblem,
        onForged: () => forgeries.note('a command'),
      });
      server.start();
      return onceStopped(async () => {
        await server.stop();
        reader.disconnect();
      });
    },
    publish: (frames) => publisher.publish(frames),
    subscribe: (subscriber) => events.subscribe(subscriber),
    async serveSnapshots(source) {
      snapshotSource = source;
      await channels.subscribe(keys.snapshotRequests);
      return onceStopped(async () => {
        if (snapshotSource !== source) return;
        snapshotSource = undefined;
        await channels.unsubscribe(keys.snapshotRequests);
      });
    },
    async requestSnapshot(timeoutMs) {
      const request: SnapshotRequest = { id: randomUUID(), replyChannel: ownChannel };
      return new Promise<BookSnapshot | undefined>((resolve) => {
        const finish = (snapshot: BookSnapshot | undefined): void => {
          clearTimeout(timer);
          snapshotsAwaited.delete(request.id);
          resolve(snapshot);
        };
        const timer = setTimeout(() => finish(undefined), timeoutMs);
        snapshotsAwaited.set(request.id, finish);
        calls
          .publish(keys.snapshotRequests, snapshotRequests.seal(JSON.stringify(request)))
          .catch(() => finish(undefined));
      });
    },
    async close() {
      await Promise.all([...stops].map((stop) => stop()));
      client.close();
      publisher.close();
      // The blocking read ends with its connection; by then the reader must know that it is meant.
      const stopped = events.stop();
      eventConnection.disconnect();
      await stopped;
      for (const connection of connections) connection.disconnect();
      forgeries.stop();
    },
  };
}

const FORGERIES_TOLD_EVERY_MS = 1_000;

/** Tells of the first forged message at once and of those that follow together, so that a flood of them is no flood of alarms. */
function countForgeries(onForged: RedisTransportOptions['onForged']) {
  const counts = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    timer = undefined;
    for (const [what, count] of counts) onForged({ what, count });
    if (counts.size > 0) timer = setTimeout(tell, FORGERIES_TOLD_EVERY_MS).unref();
    counts.clear();
  };
  return {
    note: (what: string): void => {
      counts.set(what, (counts.get(what) ?? 0) + 1);
      if (timer === undefined) tell();
    },
    stop: () => clearTimeout(timer),
  };
}
