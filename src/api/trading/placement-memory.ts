/** Placements of this gateway, under way and lately done: a repeated request joins the first instead of running again. */
import { RecentMap } from '../../domain/recent-map.ts';
import type { Hash } from '../../domain/units.ts';
import { ProblemError } from '../problem.ts';

/**
 * Of those done: an order is cancelled or replaced by what is known of it here until the projections show it. They lag by tenths of a second
 * at full load, but may stall for seconds when the database does.
 */
const PLACEMENTS_KEPT = 4_096;

type Outcome<T> = Promise<{ readonly placed: T; readonly isNew: boolean }>;
type UnderWay<T> = { readonly content: string; outcome: Outcome<T> | undefined; isSubmitted: boolean };
type Done<T> = { readonly content: string; readonly placed: T; readonly isSubmitted: boolean };

export class PlacementMemory<T> {
  /** As many as wait for their client order id or for the engine, each for seconds at most. */
  readonly #underWay = new Map<Hash, UnderWay<T>>();
  readonly #done = new RecentMap<Hash, Done<T>>(PLACEMENTS_KEPT);

  /**
   * Runs `place` unless the digest is known. What failed is forgotten, so that it can be tried again.
   * @throws ProblemError CONFLICT when the digest is known with other content around it
   */
  once(digest: Hash, content: string, place: () => Outcome<T>): Outcome<T> {
    const known = this.#underWay.get(digest) ?? this.#done.get(digest);
    if (known !== undefined) return join(known, digest, content);
    // Known before it runs, so that it can be marked at once.
    const underWay: UnderWay<T> = { content, outcome: undefined, isSubmitted: false };
    this.#underWay.set(digest, underWay);
    const running = place();
    underWay.outcome = running;
    // A failure is told to whoever started it; those who joined see it too.
    running.then(
      ({ placed }) => {
        this.#done.set(digest, { content, placed, isSubmitted: underWay.isSubmitted });
        this.#underWay.delete(digest);
      },
      () => this.#underWay.delete(digest),
    );
    return running;
  }

  /** The engine has the order, or will have it without anybody waiting for another: from now on it may be waited for. */
  markSubmitted(digest: Hash): void {
    const underWay = this.#underWay.get(digest);
    if (underWay !== undefined) underWay.isSubmitted = true;
  }

  /** The placement of this digest, when this gateway has brought it to the engine; waits for the engine's answer. */
  async submitted(digest: Hash): Promise<T | undefined> {
    const known = this.#underWay.get(digest) ?? this.#done.get(digest);
    return known?.isSubmitted === true ? this.find(digest) : undefined;
  }

  /** The placement of this digest, done or under way. Never call it for a digest whose own placement waits for the answer. */
  async find(digest: Hash): Promise<T | undefined> {
    const underWay = this.#underWay.get(digest);
    if (underWay === undefined) return this.#done.get(digest)?.placed;
    try {
      return (await underWay.outcome)?.placed;
    } catch {
      // It was refused or its outcome is unknown: the projections know more than we do.
      return undefined;
    }
  }
}

async function join<T>(
  known: UnderWay<T> | Done<T>,
  digest: Hash,
  content: string,
): Promise<{ readonly placed: T; readonly isNew: boolean }> {
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
  if ('placed' in known) return { placed: known.placed, isNew: false };
  // Undefined only while `place` has not returned, when nobody else runs.
  if (known.outcome === undefined) throw new Error(`the placement of ${digest} waits for itself`);
  return { placed: (await known.outcome).placed, isNew: false };
}
