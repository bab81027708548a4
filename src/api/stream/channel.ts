/**
 * One stream of messages that sockets follow: a snapshot first, then deltas, each with `seq` and the `prevSeq` it follows on.
 *
 * Invariant: to a subscriber, the `prevSeq` of every delta is the `seq` of the message before; whenever that cannot be kept (a slow
 * socket, a gap in the engine's events) it gets a snapshot of type `resync` and goes on from there. Each message is serialized
 * once, however many follow. The last deltas are kept in a ring, so that a client that was away can resume.
 */

export const RING_DELTAS_MAX = 1_024;

/** What a channel is called on the wire. */
export type ChannelName = { readonly channel: string; readonly market?: string };

export type ChannelSnapshot = { readonly seq: number; readonly body: object };

export type ChannelSubscriber = {
  /** Must not throw. */
  readonly deliver: (channel: Channel, text: string) => void;
};

export class Channel {
  readonly name: ChannelName;
  readonly #snapshot: () => ChannelSnapshot;
  readonly #subscribers = new Set<ChannelSubscriber>();
  #ring: { readonly prevSeq: number; readonly text: string }[] = [];
  #lastSeq: number | undefined;

  /** `snapshot` is read in the same turn of the event loop as the deltas are told. */
  constructor(name: ChannelName, snapshot: () => ChannelSnapshot) {
    this.name = name;
    this.#snapshot = snapshot;
  }

  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  /** The whole picture as a message. */
  snapshotText(type: 'snapshot' | 'resync'): string {
    const { seq, body } = this.#snapshot();
    return JSON.stringify({ ...this.name, type, seq, ...body });
  }

  add(subscriber: ChannelSubscriber): void {
    this.#subscribers.add(subscriber);
  }

  remove(subscriber: ChannelSubscriber): void {
    this.#subscribers.delete(subscriber);
  }

  publish(delta: { readonly seq: number; readonly prevSeq: number; readonly body: object }): void {
    const { seq, prevSeq, body } = delta;
    const text = JSON.stringify({ ...this.name, type: 'delta', seq, prevSeq, ...body });
    this.#ring.push({ prevSeq, text });
    // Cut in halves, so that it is not done for every message.
    if (this.#ring.length > 2 * RING_DELTAS_MAX) this.#ring = this.#ring.slice(-RING_DELTAS_MAX);
    this.#lastSeq = seq;
    for (const subscriber of this.#subscribers) subscriber.deliver(this, text);
  }

  /** What was told before is void: everyone gets the whole picture again. */
  resync(): void {
    this.#ring = [];
    this.#lastSeq = undefined;
    if (this.#subscribers.size === 0) return;
    const text = this.snapshotText('resync');
    for (const subscriber of this.#subscribers) subscriber.deliver(this, text);
  }

  /** The deltas after `seq`; undefined when they are not all here any more. */
  since(seq: number): readonly string[] | undefined {
    if (seq === (this.#lastSeq ?? this.#snapshot().seq)) return [];
    const start = this.#ring.findIndex((entry) => entry.prevSeq === seq);
    return start === -1 ? undefined : this.#ring.slice(start).map((entry) => entry.text);
  }
}
