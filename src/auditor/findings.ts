/** What an audit found: every check with how often it was made, and every failure with where and why. */
import type { Hash } from '../domain/units.ts';

/** The checks, with the sentence that a reader sees. Each promise of the exchange that the chain can show has one. */
export const CHECKS = {
  event_sequence: 'The vault numbers its events without gaps, and all of them were seen.',
  calldata: 'Every batch event comes from a transaction straight to the vault whose content is well formed.',
  content_hash: 'The content of every batch is what its event and its signature name.',
  batch_order: 'Batch ids are gapless, parents linked, epochs never fall.',
  engine_signature: 'Every batch was signed by the engine key that was active then.',
  order_authority:
    'Every executed fill stands on orders signed by their owners, or by valid session keys, or registered on chain.',
  fills:
    'Every fill was executed or skipped exactly as limits, fees, expiry, cancellations, lanes and balances demand.',
  withdrawals: 'Every withdrawal was signed by its owner, and executed or refused as the rules demand.',
  deposits: 'Every deposit is a listed asset of at least the minimum, and the booked totals stay bounded.',
  exits: 'Exits were requested, waited for their delay, and paid the whole balance once.',
  governance: 'Listings, fees, keys, pauses and cancellations changed as the rules allow.',
  storage: "Every balance and lane that was re-derived equals the vault's own storage at the last block.",
  solvency: 'The vault holds at least what its books owe, asset by asset.',
  journal_chain: 'The journal is one unbroken chain of hashes.',
  journal_facts: 'What the journal says of the chain is what the chain says.',
  journal_orders: 'Every order in the journal carries the signature of its signer over exactly these terms.',
  journal_withdrawals: 'Every withdrawal in the journal carries the signature of its account over exactly these terms.',
  journal_batches: 'Replaying the journal gives exactly the batches that were settled, in order of price and time.',
  journal_commitment: 'Every batch commits to the journal row that ends with its seal.',
  receipts: 'Every acknowledgement stands in the journal where the engine signed that it stands.',
} as const;
export type CheckName = keyof typeof CHECKS;

export type AuditFailure = {
  readonly check: CheckName;
  /** Undefined when no single transaction is to blame. */
  readonly transaction: Hash | undefined;
  /** Order or withdrawal digest, or account, where one is to blame. */
  readonly order: string | undefined;
  readonly reason: string;
};

export type AuditCheck = {
  readonly name: CheckName;
  readonly description: string;
  readonly made: number;
  readonly failed: number;
};

/** Failures beyond this are counted, not kept: a wrong start makes everything after it wrong. */
const FAILURES_KEPT_MAX = 1_000;

export class Findings {
  readonly #made = new Map<CheckName, number>();
  readonly #failed = new Map<CheckName, number>();
  readonly failures: AuditFailure[] = [];

  /** Counts a check, and keeps its failure unless `holds`. @returns holds */
  check(name: CheckName, holds: boolean, where: { transaction?: Hash; order?: string }, reason: () => string): boolean {
    this.#made.set(name, (this.#made.get(name) ?? 0) + 1);
    if (holds) return true;
    this.#failed.set(name, (this.#failed.get(name) ?? 0) + 1);
    if (this.failures.length < FAILURES_KEPT_MAX) {
      this.failures.push({ check: name, transaction: where.transaction, order: where.order, reason: reason() });
    }
    return false;
  }

  get failed(): boolean {
    return this.#failed.size > 0;
  }

  /** Every check that was made at least once. */
  checks(): AuditCheck[] {
    return [...this.#made].map(([name, made]) => ({
      name,
      description: CHECKS[name],
      made,
      failed: this.#failed.get(name) ?? 0,
    }));
  }
}
