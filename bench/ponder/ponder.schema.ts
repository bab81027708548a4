import { onchainTable } from 'ponder';

/** What Tallystick keeps of a deposit too: its number, its place and its terms. */
export const deposit = onchainTable('deposit', (t) => ({
  eventSequence: t.bigint().primaryKey(),
  blockNumber: t.bigint().notNull(),
  transactionHash: t.hex().notNull(),
  logIndex: t.integer().notNull(),
  account: t.hex().notNull(),
  asset: t.integer().notNull(),
  quanta: t.bigint().notNull(),
}));
