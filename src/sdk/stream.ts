/**
 * One public channel over the API's WebSocket, kept up: a snapshot, then deltas without a gap.
 *
 * A delta that does not follow on the message before, a follower that finds a fault, a connection that ends or falls silent: each leads to
 * a new snapshot. Connections are retried for ever, at most every few seconds, until the stream is closed.
 */
import { TallystickError } from './errors.ts';

const PING_INTERVAL_MS = 5_000;
const SILENCE_MAX_MS = 12_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

export type ChannelMessage = { readonly seq: number } & Readonly<Record<string, unknown>>;

export type ChannelFollower = {
  readonly onSnapshot: (message: ChannelMessage) => void;
  /** False asks for a new snapshot. */
  readonly onDelta: (message: ChannelMessage) => boolean;
  /** What was told last may be out of date until the next snapshot. */
  readonly onStale: () => void;
  /** The API refused the channel for good. */
  readonly onRefused: (error: TallystickError) => void;
};

type Incoming = {
  readonly op?: string;
  readonly type?: string;
  readonly prevSeq?: number;
  readonly error?: {
    readonly code: string;
    readonly detail: string;
    readonly type: string;
    readonly retryable: boolean;
  };
} & ChannelMessage;

/** @returns closes it */
export function followChannel(
  baseUrl: string,
  topic: { readonly channel: string; readonly market: string },
  follower: ChannelFollower,
): () => void {
  const url = new URL('/ws', baseUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  let socket: WebSocket | undefined;
  let seq: number | undefined;
  let heardAtMs = 0;
  let retryMs = RETRY_MIN_MS;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const send = (message: object): void => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const askForSnapshot = (): void => {
    if (seq !== undefined) follower.onStale();
    seq = undefined;
    send({ op: 'subscribe', ...topic });
  };
  const lose = (lost: WebSocket): void => {
    if (socket !== lost || closed) return;
    socket = undefined;
    lost.close();
    if (seq !== undefined) follower.onStale();
    seq = undefined;
    retry = setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
  };
  const receive = (message: Incoming): void => {
    if (message.op === 'error' && message.error !== undefined && !message.error.retryable) {
      const { code, detail, type } = message.error;
      close();
      follower.onRefused(new TallystickError(code, detail, { docsUrl: type }));
    } else if (message.op === 'error') askForSnapshot();
    else if (message.type === 'snapshot' || message.type === 'resync') {
      retryMs = RETRY_MIN_MS;
      seq = message.seq;
      follower.onSnapshot(message);
    } else if (message.type === 'delta' && seq !== undefined) {
      if (message.prevSeq === seq && follower.onDelta(message)) seq = message.seq;
      else askForSnapshot();
    }
  };
  const connect = (): void => {
    const opened = new WebSocket(url);
    socket = opened;
    heardAtMs = performance.now();
    opened.addEventListener('open', () => {
      if (socket === opened) askForSnapshot();
    });
    opened.addEventListener('message', ({ data }) => {
      if (socket !== opened || closed) return;
      heardAtMs = performance.now();
      receive(JSON.parse(String(data)) as Incoming);
    });
    opened.addEventListener('close', () => lose(opened));
    opened.addEventListener('error', () => lose(opened));
  };
  const pinger = setInterval(() => {
    if (socket !== undefined && performance.now() - heardAtMs > SILENCE_MAX_MS) lose(socket);
    else send({ op: 'ping' });
  }, PING_INTERVAL_MS);
  const close = (): void => {
    closed = true;
    clearInterval(pinger);
    clearTimeout(retry);
    socket?.close();
  };
  connect();
  return close;
}
