/** Placements of this gateway, under way and lately done: a repeated request joins the first instead of running again. */
import { RecentMap } from '../../domain/recent-map.ts';
import type { Hash } from '../../domain/units.ts';
import { ProblemError } from '../problem.ts';

/** A second or two at full load, far longer than the projections lag; kept longer, they are most of what a collection has to walk. */
const PLACEMENTS_KEPT = 4_096;

type Outcome<T> = Promise<{ readonly placed: T; readonly isNew: boolean }>;
type Remembered<T> = { readonly content: string; outcome: Outcome<T> | undefined; isSubmitted: boolean };

export class PlacementMemory<T> {
  readonly #byDigest = new RecentMap<Hash, Remembered<T>>(PLACEMENTS_KEPT);

  /**
   * Runs `place` unless the digest is known. What failed is forgotten, so that it can be tried again.
   * @throws ProblemError CONFLICT when the digest is known with other content around it
   */
  once(digest: Hash, content: string, place: () => Outcome<T>): Outcome<T> {
    const known = this.#byDigest.get(digest);
    if (known !== undefined) return join(known, digest, content);
    // Known before it runs, so that it can be marked at once.
    const remembered: Remembered<T> = { content, outcome: undefined, isSubmitted: false };
    this.#byDigest.set(digest, remembered);
    const running = place();
    remembered.outcome = running;
    // The failure is told to whoever started it; those who joined see it too.
    running.catch(() => this.#byDigest.delete(digest));
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
      return (await this.#byDigest.get(digest)?.outcome)?.placed;
    } catch {
      // It was refused or its outcome is unknown: the projections know more than we do.
      return undefined;
    }
  }
}

async function join<T>(
  { content: known, outcome }: Remembered<T>,
  digest: Hash,
  content: string,
): Promise<{ readonly placed: T; readonly isNew: boolean }> {
  if (known !== content) {
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
  // Undefined only while `place` has not returned, when nobody else runs.
  if (outcome === undefined) throw new Error(`the placement of ${digest} waits for itself`);
  return { placed: (await outcome).placed, isNew: false };
}
