/**
 * The transport between processes: commands and events over Redis Streams, replies and snapshots over pub/sub.
 *
 * Redis is transport only. It may restart empty, trim its streams, or deliver twice: clients resend, the engine's side knows what
 * it answered, and subscribers learn of lost frames from the journal sequence.
 */
import { randomUUID } from 'node:crypto';
import { deduplicateCommands } from '../deduplicate-commands.ts';
import type { BookSnapshot, CommandReply, Stop, Transport } from '../port.ts';
import { RedisCommandClient } from './command-client.ts';
import { RedisCommandServer } from './command-server.ts';
import { connectForCalls, connectForReading, type RedisOptions, redisKeys, untilReady } from './connection.ts';
import { RedisEventPublisher, RedisEventReader } from './event-stream.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** What arrives on the channel of one transport. */
type Message =
  | { readonly kind: 'reply'; readonly id: string; readonly reply: CommandReply }
  | { readonly kind: 'snapshot'; readonly id: string; readonly snapshot: BookSnapshot };
type SnapshotRequest = { readonly id: string; readonly replyChannel: string };

/** Connects, and starts nothing yet. @throws Error when Redis cannot be reached within 10 s */
export async function createRedisTransport(options: RedisOptions): Promise<Transport> {
  const keys = redisKeys(options.namespace);
  const ownChannel = `{${options.namespace}}:to:${randomUUID()}`;
  const calls = connectForCalls(options);
  const channels = connectForReading(options);
  const eventConnection = connectForReading(options);
  const connections = [calls, channels, eventConnection];
  const client = new RedisCommandClient(calls, keys, ownChannel);
  const publisher = new RedisEventPublisher(calls, keys, options.onProblem);
  const events = new RedisEventReader(eventConnection, keys, options.onProblem);
  const snapshotsAwaited = new Map<string, (snapshot: BookSnapshot) => void>();
  const stops = new Set<Stop>();
  let snapshotSource: (() => BookSnapshot) | undefined;

  function receive(channel: string, text: string): void {
    try {
      if (channel === keys.snapshotRequests) answerSnapshot(JSON.parse(text) as SnapshotRequest);
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
      .publish(request.replyChannel, JSON.stringify(message))
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
      const served = deduplicateCommands(handler);
      const server = new RedisCommandServer({ reader, calls }, keys, served, options.onProblem);
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
        calls.publish(keys.snapshotRequests, JSON.stringify(request)).catch(() => finish(undefined));
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
    },
  };
}
