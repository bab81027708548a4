/**
 * Read your writes: what an account was told is done shows in what it reads next.
 *
 * Reads come from projections, which follow the journal a few milliseconds behind. After an acknowledgement the account's journal
 * sequence is remembered, and its private reads wait, for a bounded time, until the projector's cursor has reached it.
 * Per gateway and in memory: a client that changes gateways may read an older state, and compares `journalSequence` itself.
 */
import { RecentMap } from '../domain/recent-map.ts';
import type { Address, JournalSequence } from '../domain/units.ts';

/** Longest wait of a read, in milliseconds; after it, what is there is answered. */
export const PROJECTION_WAIT_MAX_MS = 1_000;
const ACCOUNTS_KEPT = 25_000;

/** Resolves true once the projections contain the command at `sequence`, false after `timeoutMs`. */
export type WaitForProjection = (sequence: JournalSequence, timeoutMs: number) => Promise<boolean>;

export class ReadYourWrites {
  readonly #waitFor: WaitForProjection;
  readonly #lastWritten = new RecentMap<Address, JournalSequence>(ACCOUNTS_KEPT);

  constructor(waitFor: WaitForProjection) {
    this.#waitFor = waitFor;
  }

  wrote(account: Address, sequence: JournalSequence): void {
    const before = this.#lastWritten.get(account) ?? 0;
    this.#lastWritten.set(account, Math.max(before, sequence) as JournalSequence);
  }

  /** Waits until the projections show the account's last acknowledged command; false when they did not in time. */
  async settled(account: Address): Promise<boolean> {
    const sequence = this.#lastWritten.get(account);
    return sequence === undefined ? true : this.reached(sequence);
  }

  /** Waits until the projections stand at `sequence` or later; false when they did not in time. */
  async reached(sequence: JournalSequence): Promise<boolean> {
    return this.#waitFor(sequence, PROJECTION_WAIT_MAX_MS);
  }
}
