/**
 * Who may make the journal grow: accounts that ever had a deposit. Signatures cost nothing, so without this anybody could fill the journal
 * with well signed orders that the engine refuses.
 *
 * Invariants: nobody is refused whom the engine has credited, or is about to credit, by the time the request came. An account that is
 * not remembered is looked up in the database each time, so that no refusal outlives its reason: in the balances, in the deposits that the indexer
 * has seen, and, when the balances are behind the journal, again once they have caught up. Where they do not in time, nothing is said
 * about the account: orders are to be sent again, cancels go to the engine.
 * Only good answers are remembered, and so many at most: an account that had a deposit had one for ever. One look-up is under way at a
 * time, for all who wait, so that invented accounts cost one query between them.
 *
 * It does not say whether the balance covers the order: that is the engine's decision.
 */
import { RecentMap } from '../../domain/recent-map.ts';
import type { Address, JournalSequence } from '../../domain/units.ts';
import type { KnownDeposits } from '../../storage/queries/known-accounts.ts';
import { toChecksum } from '../addresses.ts';
import type { FieldError } from '../problem.ts';
import { ProblemError } from '../problem.ts';

const REMEMBERED_MIN = 100_000;
/** Accounts asked about in one query. */
const LOOKUP_ACCOUNTS_MAX = 500;
/** Accounts that wait for a look-up; beyond it requests are turned away. */
const WAITING_MAX = 20_000;
const RETRY_AFTER_MS = 1_000;

export type KnownAccountsOptions = {
  readonly look: (accounts: readonly Address[]) => Promise<KnownDeposits>;
  /** Resolves true once the balances contain the command at `sequence`, false when they did not in time. */
  readonly reached: (sequence: JournalSequence) => Promise<boolean>;
};

/** `undecided`: the balances were too far behind to tell. */
export type AccountStanding = 'known' | 'unknown' | 'undecided';

export class KnownAccounts {
  readonly #options: KnownAccountsOptions;
  readonly #remembered = new RecentMap<Address, true>(REMEMBERED_MIN);
  readonly #waiting = new Map<Address, PromiseWithResolvers<KnownDeposits>>();
  #isLooking = false;

  constructor(options: KnownAccountsOptions) {
    this.#options = options;
  }

  /** Whether the account is remembered: no more than a look into memory. */
  has(account: Address): boolean {
    return this.#remembered.get(account) === true;
  }

  /**
   * Resolves when the account had a deposit. `pointer` names the field that holds the account.
   * @throws ProblemError ACCOUNT_UNKNOWN, NOT_READY (it cannot be told yet), OVERLOADED, or the database's error
   */
  async require(account: Address, pointer: string): Promise<void> {
    const standing = await this.standing(account);
    if (standing === 'known') return;
    if (standing === 'undecided') {
      throw new ProblemError(
        'NOT_READY',
        `The balances are behind the journal, and no deposit of ${toChecksum(account)} is seen yet; send the same request again.`,
        { retryAfterMs: RETRY_AFTER_MS },
      );
    }
    const fault = unknownAccount(account, pointer);
    throw new ProblemError('ACCOUNT_UNKNOWN', fault.message, { errors: [fault] });
  }

  /** @throws ProblemError OVERLOADED, or the database's error */
  async standing(account: Address): Promise<AccountStanding> {
    if (this.has(account)) return 'known';
    const { projectedSequence, journalHead } = await this.#lookUp(account);
    if (this.has(account)) return 'known';
    if (projectedSequence >= journalHead) return 'unknown';
    const reached = await this.#options.reached(journalHead);
    await this.#lookUp(account);
    if (this.has(account)) return 'known';
    return reached ? 'unknown' : 'undecided';
  }

  /** Joins the next look-up; one that is under way may have begun before the account's deposit. */
  #lookUp(account: Address): Promise<KnownDeposits> {
    let waiting = this.#waiting.get(account);
    if (waiting === undefined) {
      if (this.#waiting.size >= WAITING_MAX) {
        throw new ProblemError('OVERLOADED', 'Too many unknown accounts are being looked up; nothing was executed.', {
          retryAfterMs: RETRY_AFTER_MS,
        });
      }
      waiting = Promise.withResolvers<KnownDeposits>();
      this.#waiting.set(account, waiting);
    }
    if (!this.#isLooking) void this.#lookWhileAnyWaits();
    return waiting.promise;
  }

  async #lookWhileAnyWaits(): Promise<void> {
    this.#isLooking = true;
    while (this.#waiting.size > 0) {
      const asked = [...this.#waiting].slice(0, LOOKUP_ACCOUNTS_MAX);
      for (const [account] of asked) this.#waiting.delete(account);
      try {
        const found = await this.#options.look(asked.map(([account]) => account));
        for (const account of found.known) this.#remembered.set(account, true);
        for (const [, { resolve }] of asked) resolve(found);
      } catch (error) {
        for (const [, { reject }] of asked) reject(error);
      }
    }
    this.#isLooking = false;
  }
}

export function unknownAccount(account: Address, pointer: string): FieldError {
  const message =
    `${toChecksum(account)} never had a deposit in the vault. Deposit first (GET /api/v1/contracts names the vault); ` +
    'a deposit can be traded once its block is final, and GET /api/v1/deposits shows it on its way.';
  return { pointer, code: 'account_unknown', message };
}
