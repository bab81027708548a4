/**
 * Keeps the orders of one request, or of one socket, in the order in which they were sent, although their signatures are checked side
 * by side and nobody waits for the one before to be committed. So a request's orders share commits of the journal.
 *
 * Each order has two turns: to begin (claim its client order id, become known as under way) and to go to the engine. A turn comes
 * when every order before has passed its own. Invariant: an order that waits for another order's outcome has passed its turns
 * first, or waits for one that has gone to the engine already; so no two orders wait for each other.
 */

export type Turn = {
  /** Resolves when every turn before was passed. */
  readonly reached: Promise<void>;
  /** Lets the next one go; again does no harm. */
  readonly pass: () => void;
};

export type PlaceInLine = {
  readonly begin: Turn;
  readonly submit: Turn;
  /** Nothing of the line goes to the engine any more. */
  readonly isClosed: () => boolean;
};

const AT_ONCE: Turn = { reached: Promise.resolve(), pass: () => undefined };

/** For an order that stands in no line. */
export const NO_LINE: PlaceInLine = { begin: AT_ONCE, submit: AT_ONCE, isClosed: () => false };

export class PlacementLine {
  #begun: Promise<void> = Promise.resolve();
  #submitted: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** The next place. Whoever takes it passes both turns in the end, also when it fails. */
  take(): PlaceInLine {
    const begin = turnAfter(this.#begun);
    const submit = turnAfter(this.#submitted);
    this.#begun = begin.next;
    this.#submitted = submit.next;
    return { begin, submit, isClosed: () => this.#isClosed };
  }

  /** What has not gone to the engine yet never will. */
  close(): void {
    this.#isClosed = true;
  }
}

function turnAfter(reached: Promise<void>): Turn & { readonly next: Promise<void> } {
  const passed = Promise.withResolvers<void>();
  return { reached, pass: () => passed.resolve(), next: reached.then(() => passed.promise) };
}
