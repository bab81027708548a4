import { requestText, signRequest } from '../../../src/api/auth/api-keys.ts';
import type { Json, KeyHolder } from './client.ts';

/** A WebSocket client for tests. Keeps every message; `next` takes the oldest one that fits. */
export class SocketClient {
  readonly socket: WebSocket;
  readonly #received: Json[] = [];
  readonly #waiting: { readonly fits: (message: Json) => boolean; readonly resolve: (message: Json) => void }[] = [];
  readonly closed: Promise<number>;
  #id = 0;

  constructor(url: string) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    this.closed = new Promise((resolve) => this.socket.addEventListener('close', ({ code }) => resolve(code)));
    this.socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data));
      const index = this.#waiting.findIndex(({ fits }) => fits(message));
      if (index === -1) this.#received.push(message);
      else this.#waiting.splice(index, 1)[0]?.resolve(message);
    });
  }

  async open(): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN)
      await new Promise((resolve) => this.socket.addEventListener('open', resolve));
    return this;
  }

  next(fits: (message: Json) => boolean): Promise<Json> {
    const index = this.#received.findIndex(fits);
    if (index !== -1) return Promise.resolve(this.#received.splice(index, 1)[0]);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no such message; there were ${JSON.stringify(this.#received)}`)),
        5_000,
      );
      this.#waiting.push({
        fits,
        resolve: (message) => {
          clearTimeout(timer);
          resolve(message);
        },
      });
    });
  }

  /** Sends a request and resolves with its ack or error. */
  async ask(message: object): Promise<Json> {
    const id = ++this.#id;
    this.socket.send(JSON.stringify({ id, ...message }));
    return this.next(
      (answer) => answer.id === id && (answer.op === 'ack' || answer.op === 'error' || answer.op === 'pong'),
    );
  }

  loginBy(key: KeyHolder): {
    readonly op: 'login';
    readonly key: string;
    readonly timestamp: number;
    readonly signature: string;
  } {
    const timestamp = Date.now();
    const text = requestText({ method: 'GET', path: '/ws', timestampMs: timestamp, body: '' });
    return { op: 'login', key: key.keyId, timestamp, signature: signRequest(key.secret, text) };
  }

  login(key: KeyHolder): Promise<Json> {
    return this.ask(this.loginBy(key));
  }

  of(channel: string, type?: string): Promise<Json> {
    return this.next(
      (message) =>
        message.channel === channel && message.op === undefined && (type === undefined || message.type === type),
    );
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}
