/**
 * Read your writes: what an account was told is done shows in what it reads next.
 *
 * Reads come from projections, which follow the journal a few milliseconds behind. After an acknowledgement the account's journal
 * sequence is remembered, and its private reads wait, for a bounded time, until the projector's cursor has reached it. One
 * poll of the cursor serves everyone who waits. Per gateway and in memory: a client that changes gateways may read an older state,
 * and compares `journalSequence` itself.
 */
import type { Address, JournalSequence } from '../domain/units.ts';

/** Longest wait of a read, in milliseconds; after it, what is there is answered. */
export const PROJECTION_WAIT_MAX_MS = 1_000;
const POLL_INTERVAL_MS = 5;
const ACCOUNTS_MAX = 50_000;

export class ReadYourWrites {
  readonly #readCursor: () => Promise<JournalSequence>;
  readonly #lastWritten = new Map<Address, JournalSequence>();
  readonly #waiters = new Set<{ readonly sequence: JournalSequence; readonly resolve: (reached: boolean) => void }>();
  #projected = 0;
  #polling = false;

  /** `readCursor`: journal sequence up to which the projections stand. */
  constructor(readCursor: () => Promise<JournalSequence>) {
    this.#readCursor = readCursor;
  }

  wrote(account: Address, sequence: JournalSequence): void {
    const before = this.#lastWritten.get(account) ?? 0;
    // Delete first: insertion order is recency, and the oldest goes when the map is full.
    this.#lastWritten.delete(account);
    this.#lastWritten.set(account, Math.max(before, sequence) as JournalSequence);
    if (this.#lastWritten.size > ACCOUNTS_MAX) {
      for (const oldest of this.#lastWritten.keys()) {
        this.#lastWritten.delete(oldest);
        break;
      }
    }
  }

  /** Waits until the projections show the account's last acknowledged command; false when they did not in time. */
  async settled(account: Address): Promise<boolean> {
    const sequence = this.#lastWritten.get(account);
    return sequence === undefined ? true : this.reached(sequence);
  }

  /** Waits until the projections stand at `sequence` or later; false when they did not in time. */
  async reached(sequence: JournalSequence, timeoutMs: number = PROJECTION_WAIT_MAX_MS): Promise<boolean> {
    if (this.#projected >= sequence) return true;
    return new Promise((resolve) => {
      const finish = (reached: boolean): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(reached);
      };
      const waiter = { sequence, resolve: finish };
      const timer = setTimeout(() => finish(false), timeoutMs);
      this.#waiters.add(waiter);
      void this.#poll();
    });
  }

  async #poll(): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    try {
      while (this.#waiters.size > 0) {
        this.#projected = Math.max(this.#projected, await this.#readCursor());
        for (const waiter of [...this.#waiters]) if (this.#projected >= waiter.sequence) waiter.resolve(true);
        if (this.#waiters.size > 0) await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
      }
    } catch {
      // The database is away: readers go on and meet the same failure in their own query, which reports it.
      for (const waiter of [...this.#waiters]) waiter.resolve(false);
    } finally {
      this.#polling = false;
    }
  }
}
