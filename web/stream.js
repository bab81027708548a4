/**
 * The WebSocket: one connection, kept up, and the channels followed over it.
 *
 * To a follower each channel is a snapshot and then deltas without a gap: a delta whose `prevSeq` is not the last `seq` is dropped, and a new
 * snapshot asked for. A connection that ends, or does not answer a ping in time, is replaced, at first at once, then ever more slowly.
 */

const PING_INTERVAL_MS = 4_000;
const ANSWER_TIMEOUT_MS = 4_000;
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 4_000;

/**
 * @typedef {{ channel: string, market?: string | undefined }} Topic
 * @typedef {{ onSnapshot: (message: any) => void, onDelta: (message: any) => void }} Follower
 * @typedef {Topic & Follower & { seq: number | undefined }} Subscription
 */

export class Stream {
  /** @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  /** @type {WebSocket | undefined} */
  #socket;
  #retryMs = RETRY_MIN_MS;
  /** @type {number | undefined} */
  #watch;
  #url;
  #onState;

  /**
   * @param {string} url
   * @param {(isConnected: boolean) => void} onState
   */
  constructor(url, onState) {
    this.#url = url;
    this.#onState = onState;
    this.#connect();
  }

  /**
   * Follows a channel until the returned function is called.
   * @param {Topic} topic
   * @param {Follower} follower
   */
  follow(topic, follower) {
    const key = keyOf(topic);
    this.#subscriptions.set(key, { ...topic, ...follower, seq: undefined });
    this.#send({ op: 'subscribe', ...topic });
    return () => {
      this.#subscriptions.delete(key);
      this.#send({ op: 'unsubscribe', ...topic });
    };
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#expectAnswer(socket);
    socket.addEventListener('open', () => {
      this.#retryMs = RETRY_MIN_MS;
      this.#onState(true);
      for (const { channel, market } of this.#subscriptions.values()) this.#send({ op: 'subscribe', channel, market });
    });
    socket.addEventListener('message', (event) => {
      this.#schedulePing(socket);
      this.#receive(JSON.parse(event.data));
    });
    socket.addEventListener('close', () => this.#lost(socket));
  }

  /** @param {WebSocket} socket */
  #lost(socket) {
    // A socket that was given up may close long after its successor has opened.
    if (this.#socket !== socket) return;
    clearTimeout(this.#watch);
    this.#socket = undefined;
    for (const subscription of this.#subscriptions.values()) subscription.seq = undefined;
    this.#onState(false);
    setTimeout(() => this.#connect(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  /** @param {WebSocket} socket */
  #schedulePing(socket) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      this.#send({ op: 'ping' });
      this.#expectAnswer(socket);
    }, PING_INTERVAL_MS);
  }

  /** @param {WebSocket} socket */
  #expectAnswer(socket) {
    this.#watch = setTimeout(() => {
      socket.close();
      this.#lost(socket);
    }, ANSWER_TIMEOUT_MS);
  }

  /** @param {any} message */
  #receive(message) {
    if (message.channel === undefined || message.type === undefined) return;
    const subscription = this.#subscriptions.get(keyOf(message));
    if (subscription === undefined) return;
    if (message.type !== 'delta') {
      subscription.seq = message.seq;
      subscription.onSnapshot(message);
      return;
    }
    // Without a snapshot there is nothing to build on; one is on its way.
    if (subscription.seq === undefined) return;
    if (message.prevSeq !== subscription.seq) {
      subscription.seq = undefined;
      const { channel, market } = subscription;
      this.#send({ op: 'subscribe', channel, market });
      return;
    }
    subscription.seq = message.seq;
    subscription.onDelta(message);
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}

/** @param {Topic} topic */
function keyOf({ channel, market }) {
  return market === undefined ? channel : `${channel}:${market}`;
}
