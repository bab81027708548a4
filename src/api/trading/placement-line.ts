/**
 * Keeps the orders of one request, or of one socket, in the order in which they were sent, although their signatures are checked side
 * by side and nobody waits for the one before to be committed. So a request's orders share commits of the journal.
 *
 * Each order has two turns: to begin (claim its client order id, become known as under way) and to go to the engine. A turn comes
 * when every order before has passed its own. Invariant: an order that waits for another order's outcome has passed its turns
 * first, or waits for one that has gone to the engine already; so no two orders wait for each other.
 */

export type Turn = {
  /** Every turn before was passed: there is nothing to wait for. */
  readonly isReached: boolean;
  /** Resolves when every turn before was passed. */
  readonly reached: () => Promise<void>;
  /** Lets the next one go; again does no harm. */
  readonly pass: () => void;
};

export type PlaceInLine = {
  readonly begin: Turn;
  readonly submit: Turn;
  /** Nothing of the line goes to the engine any more. */
  readonly isClosed: () => boolean;
};

const AT_ONCE: Turn = { isReached: true, reached: () => Promise.resolve(), pass: () => undefined };

/** For an order that stands in no line. */
export const NO_LINE: PlaceInLine = { begin: AT_ONCE, submit: AT_ONCE, isClosed: () => false };

export class PlacementLine {
  #lastBegin: LineTurn | undefined;
  #lastSubmit: LineTurn | undefined;
  #isClosed = false;
  readonly #closed = (): boolean => this.#isClosed;

  /** The next place. Whoever takes it passes both turns in the end, also when it fails. */
  take(): PlaceInLine {
    const begin = new LineTurn(this.#lastBegin);
    const submit = new LineTurn(this.#lastSubmit);
    this.#lastBegin = begin;
    this.#lastSubmit = submit;
    return { begin, submit, isClosed: this.#closed };
  }

  /** What has not gone to the engine yet never will. */
  close(): void {
    this.#isClosed = true;
  }
}

/** Most turns are reached before anybody asks, so only those who have to wait pay for a promise. */
class LineTurn implements Turn {
  isReached: boolean;
  #isPassed = false;
  #next: LineTurn | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(before: LineTurn | undefined) {
    this.isReached = before === undefined || (before.isReached && before.#isPassed);
    if (before !== undefined) before.#next = this;
  }

  reached(): Promise<void> {
    if (this.isReached) return Promise.resolve();
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  pass(): void {
    if (this.#isPassed) return;
    this.#isPassed = true;
    if (!this.isReached) return;
    // Those behind may have passed theirs already, when they failed.
    for (let turn = this.#next; turn !== undefined; turn = turn.#isPassed ? turn.#next : undefined) {
      turn.isReached = true;
      turn.#waiting?.resolve();
    }
  }
}
