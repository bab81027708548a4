/** Placements of this gateway, under way and lately done: a repeated request joins the first instead of running again. */
import { RecentMap } from '../../domain/recent-map.ts';
import type { Hash } from '../../domain/units.ts';
import { ProblemError } from '../problem.ts';

/** A second or two at full load, far longer than the projections lag; kept longer, they are most of what a collection has to walk. */
const PLACEMENTS_KEPT = 4_096;

type Remembered<T> = { readonly content: string; readonly outcome: Promise<T>; isSubmitted: boolean };

export class PlacementMemory<T> {
  readonly #byDigest = new RecentMap<Hash, Remembered<T>>(PLACEMENTS_KEPT);

  /**
   * Runs `place` unless the digest is known. What failed is forgotten, so that it can be tried again.
   * @throws ProblemError CONFLICT when the digest is known with other content around it
   */
  async once(
    digest: Hash,
    content: string,
    place: () => Promise<{ placed: T; isNew: boolean }>,
  ): Promise<{ placed: T; isNew: boolean }> {
    const known = this.#byDigest.get(digest);
    if (known !== undefined) {
      if (known.content !== content) {
        throw new ProblemError(
          'CONFLICT',
          `The order ${digest} was sent before with other options around the same signature.`,
          {
            errors: [
              { pointer: '', code: 'other_content', message: 'Send exactly the same request, or sign a new order.' },
            ],
            extensions: { existingOrderId: digest },
          },
        );
      }
      return { placed: await known.outcome, isNew: false };
    }
    const running = place();
    const remembered: Remembered<T> = { content, outcome: running.then(({ placed }) => placed), isSubmitted: false };
    // The failure is told to whoever started it; those who joined see it too.
    remembered.outcome.catch(() => this.#byDigest.delete(digest));
    this.#byDigest.set(digest, remembered);
    return running;
  }

  /** The engine has the order, or will have it without anybody waiting for another: from now on it may be waited for. */
  markSubmitted(digest: Hash): void {
    const remembered = this.#byDigest.get(digest);
    if (remembered !== undefined) remembered.isSubmitted = true;
  }

  /** The placement of this digest, when this gateway has brought it to the engine; waits for the engine's answer. */
  async submitted(digest: Hash): Promise<T | undefined> {
    return this.#byDigest.get(digest)?.isSubmitted === true ? this.find(digest) : undefined;
  }

  /** The placement of this digest, done or under way. Never call it for a digest whose own placement waits for the answer. */
  async find(digest: Hash): Promise<T | undefined> {
    try {
      return await this.#byDigest.get(digest)?.outcome;
    } catch {
      // It was refused or its outcome is unknown: the projections know more than we do.
      return undefined;
    }
  }
}
