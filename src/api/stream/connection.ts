/**
 * One socket: bounded sending, its subscriptions, and its end.
 *
 * A socket that does not read must not fill our memory. Beyond `SOFT_BYTES` waiting, deltas of its channels are left out
 * (conflated); once it has caught up it gets one `resync` snapshot per channel. One that stays behind for `SLOW_MAX_MS`, or lets more
 * than `HARD_BYTES` gather, is closed with code 4008.
 */
import type { WebSocket } from 'ws';
import type { Caller } from '../auth/authenticate.ts';
import type { Channel, ChannelSubscriber } from './channel.ts';

export const SOFT_BYTES = 1024 * 1024;
export const HARD_BYTES = 16 * 1024 * 1024;
const CAUGHT_UP_BYTES = 64 * 1024;
const SLOW_MAX_MS = 10_000;
const CATCH_UP_CHECK_MS = 100;
const PING_INTERVAL_MS = 20_000;

/** Why we closed. 1001: we are shutting down, connect again. */
export const CLOSE_CODES = { loginEnded: 4001, slowConsumer: 4008, tooManyConnections: 4029 } as const;

/** The TCP socket below, so that what is sent together is written together. */
export type Wire = { readonly cork: () => void; readonly uncork: () => void };

/** The part of `ws` that is used, so that a test can stand in for a socket that never reads. */
export type Socket = Pick<WebSocket, 'send' | 'close' | 'terminate' | 'ping' | 'on' | 'bufferedAmount' | 'readyState'>;

const OPEN = 1;

export class Connection implements ChannelSubscriber {
  readonly #socket: Socket;
  readonly #wire: Wire | undefined;
  #isCorked = false;
  readonly #channels = new Map<string, Channel>();
  readonly #stale = new Set<Channel>();
  readonly #pinger: NodeJS.Timeout;
  #catchUp: NodeJS.Timeout | undefined;
  #slowSinceMs = 0;
  #answeredPing = true;
  #isDisposed = false;
  /** Set by a login. */
  caller: Caller | undefined;
  cancelOnDisconnect = false;
  /** Requests under way. */
  pending = 0;

  constructor(socket: Socket, wire?: Wire) {
    this.#socket = socket;
    this.#wire = wire;
    this.#pinger = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    socket.on('pong', () => {
      this.#answeredPing = true;
    });
  }

  /** Whether the socket has closed. */
  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  get subscriptionCount(): number {
    return this.#channels.size;
  }

  /** Answers, errors, snapshots on request: never left out. */
  send(message: object | string): void {
    if (this.#socket.readyState !== OPEN) return;
    this.#write(typeof message === 'string' ? message : JSON.stringify(message));
    if (this.#socket.bufferedAmount > HARD_BYTES) this.#closeSlow();
  }

  deliver(channel: Channel, text: string): void {
    if (this.#stale.has(channel) || this.#socket.readyState !== OPEN) return;
    if (this.#socket.bufferedAmount > SOFT_BYTES) {
      this.#fallBehind(channel);
      return;
    }
    this.#write(text);
  }

  /** False when the socket follows it already, or has closed while the channel was opened: nothing would ever let go of it. */
  follow(key: string, channel: Channel): boolean {
    if (this.#isDisposed || this.#channels.has(key)) return false;
    this.#channels.set(key, channel);
    channel.add(this);
    return true;
  }

  unfollow(key: string): Channel | undefined {
    const channel = this.#channels.get(key);
    if (channel === undefined) return undefined;
    this.#channels.delete(key);
    this.#stale.delete(channel);
    channel.remove(this);
    return channel;
  }

  followed(): readonly string[] {
    return [...this.#channels.keys()];
  }

  /** The key that logged it in was revoked or has expired. */
  endLogin(): void {
    this.send({ op: 'notice', code: 'login_ended', message: 'The API key was revoked or has expired.' });
    this.#socket.close(CLOSE_CODES.loginEnded, 'login ended');
  }

  /** After the socket has closed. */
  dispose(): void {
    this.#isDisposed = true;
    clearInterval(this.#pinger);
    clearInterval(this.#catchUp);
    for (const key of this.followed()) this.unfollow(key);
  }

  /** One write to the system for all that is sent before the event loop goes on: a commit acknowledges many orders at once. */
  #write(text: string): void {
    if (this.#wire !== undefined && !this.#isCorked) {
      this.#isCorked = true;
      this.#wire.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#wire?.uncork();
      });
    }
    this.#socket.send(text);
  }

  #ping(): void {
    if (!this.#answeredPing) {
      this.#socket.terminate();
      return;
    }
    this.#answeredPing = false;
    this.#socket.ping();
  }

  #fallBehind(channel: Channel): void {
    this.#stale.add(channel);
    if (this.#catchUp !== undefined) return;
    this.#slowSinceMs = performance.now();
    this.#catchUp = setInterval(() => this.#tryCatchUp(), CATCH_UP_CHECK_MS);
  }

  #tryCatchUp(): void {
    if (this.#socket.bufferedAmount > CAUGHT_UP_BYTES) {
      if (performance.now() - this.#slowSinceMs > SLOW_MAX_MS) this.#closeSlow();
      return;
    }
    clearInterval(this.#catchUp);
    this.#catchUp = undefined;
    const behind = [...this.#stale];
    this.#stale.clear();
    for (const channel of behind) this.deliver(channel, channel.snapshotText('resync'));
  }

  #closeSlow(): void {
    clearInterval(this.#catchUp);
    this.#socket.close(CLOSE_CODES.slowConsumer, 'slow consumer');
    // A peer that does not read does not answer the close either.
    setTimeout(() => this.#socket.terminate(), 1_000).unref();
  }
}
