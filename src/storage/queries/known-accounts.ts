/** Which accounts ever had a deposit, and how far what says so has come. */
import type { Address, Hex, JournalSequence } from '../../domain/units.ts';
import { bytesOf, hexOf, integer, type Queryable, type SqlInteger } from './rows.ts';

export type KnownDeposits = {
  /** Those asked about that have a balance, of zero or more, or a deposit that the indexer has seen, final or not. */
  readonly known: ReadonlySet<Address>;
  /** Last command that the balances contain. */
  readonly projectedSequence: JournalSequence;
  /** Last command in the journal. Balances that contain it leave out nobody whom the engine has credited. */
  readonly journalHead: JournalSequence;
};

/** In one statement, so that accounts and positions belong together. Of the chain's events only those behind the balances are read. */
export async function findKnownDeposits(db: Queryable, accounts: readonly Address[]): Promise<KnownDeposits> {
  const { rows } = await db.query<{ known: Buffer[]; at_sequence: SqlInteger; journal_head: SqlInteger }>(
    `SELECT cursor.journal_sequence AS at_sequence,
       (SELECT coalesce(max(last_sequence), 0) FROM journal) AS journal_head,
       ARRAY(
         SELECT account FROM balances WHERE account = ANY($1::bytea[])
         UNION
         SELECT decode(substr(payload ->> 'account', 3), 'hex') FROM chain_events
          WHERE event_sequence > cursor.chain_event_sequence
            AND payload ->> 'kind' = 'depositCredited' AND payload ->> 'account' = ANY($2::text[])
       ) AS known
     FROM projection_cursor cursor`,
    [accounts.map((account) => bytesOf(account as Hex)), accounts],
  );
  const [row] = rows;
  return {
    known: new Set((row?.known ?? []).map((bytes) => hexOf(bytes) as Address)),
    projectedSequence: integer<JournalSequence>(row?.at_sequence ?? 0),
    journalHead: integer<JournalSequence>(row?.journal_head ?? 0),
  };
}
