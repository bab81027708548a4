/**
 * Bounds how long the messages of all sockets together keep the thread in one turn of the event loop: a crowd that sends at once would
 * otherwise be read to its end before anybody is answered, a commit is noticed, or a request is heard.
 *
 * Messages are worked on in the order in which they came. What does not fit into a turn waits for the next one; a socket that has
 * too many waiting is not read until they are done, so that what waits is at most that and what one more read brought.
 */

/** Work that a message sets off and that goes on after it (digest, queueing) comes on top, about twice as much. */
const TURN_MAX_MS = 3;
const WAITING_PER_SOCKET_MAX = 256;

/** The part of a socket that is used. */
export type MessageSource = { readonly pause: () => void; readonly resume: () => void };

type Waiting = { readonly source: MessageSource; readonly work: () => void };

export class Intake {
  readonly #clock: () => number;
  #waiting: Waiting[] = [];
  readonly #waitingOf = new Map<MessageSource, number>();
  readonly #paused = new Set<MessageSource>();
  /** Undefined until something came in this turn. */
  #turnEndsMs: number | undefined;

  /** @param clock milliseconds that only go on */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Runs `work` now, or in a later turn after all that came before. It must not throw. */
  take(source: MessageSource, work: () => void): void {
    const nowMs = this.#clock();
    this.#turnEndsMs ??= this.#beginTurn(nowMs);
    if (this.#waiting.length === 0 && nowMs < this.#turnEndsMs) {
      work();
      return;
    }
    this.#waiting.push({ source, work });
    const waiting = (this.#waitingOf.get(source) ?? 0) + 1;
    this.#waitingOf.set(source, waiting);
    if (waiting < WAITING_PER_SOCKET_MAX || this.#paused.has(source)) return;
    this.#paused.add(source);
    source.pause();
  }

  #beginTurn(nowMs: number): number {
    setImmediate(() => this.#nextTurn());
    return nowMs + TURN_MAX_MS;
  }

  #nextTurn(): void {
    this.#turnEndsMs = undefined;
    if (this.#waiting.length === 0) return;
    const endsMs = this.#beginTurn(this.#clock());
    this.#turnEndsMs = endsMs;
    const waiting = this.#waiting;
    let done = 0;
    while (done < waiting.length && (done === 0 || this.#clock() < endsMs)) {
      const { source, work } = waiting[done] as Waiting;
      done++;
      this.#countDown(source);
      work();
    }
    this.#waiting = waiting.slice(done);
  }

  #countDown(source: MessageSource): void {
    const left = (this.#waitingOf.get(source) ?? 1) - 1;
    if (left > 0) {
      this.#waitingOf.set(source, left);
      return;
    }
    this.#waitingOf.delete(source);
    if (this.#paused.delete(source)) source.resume();
  }
}
