/** What an operator asks about settlement, read when scraped: does it work, what waits and why, can it pay, what does a trade cost. */
import type { Pool } from 'pg';
import { Counter, Gauge, type Registry } from 'prom-client';
import { type Submitter, type SubmitterStatus, WAIT_REASONS } from './submitter.ts';

type Figure = readonly [name: string, help: string, read: (status: SubmitterStatus) => number | undefined];

const GAUGES: readonly Figure[] = [
  ['working', 'Whether this process holds the lease (1) or stands by (0).', ({ state }) => Number(state === 'working')],
  ['pending_batches', 'Sealed batches that the vault has not settled.', ({ pending }) => pending],
  ['oldest_pending_seconds', 'Age of the oldest of them.', ({ oldestPendingAgeMs }) => oldestPendingAgeMs / 1000],
  ['unfinal_batches', 'Settled batches whose block is not final.', ({ unfinal }) => unfinal],
  ['last_settled_batch', 'Id of the last batch that the vault has settled.', (status) => status.lastSettledBatchId],
  ['gas_wallet_wei', "The submitter's balance, rounded to 53 bits.", ({ gasBalance }) => toNumber(gasBalance)],
  ['base_fee_wei', "The next block's base fee per gas.", ({ baseFee }) => toNumber(baseFee)],
];

const COUNTERS: readonly Figure[] = [
  ['transactions_signed_total', 'Transactions signed.', ({ transactionsSigned }) => transactionsSigned],
  ['replacements_total', 'Of these, how many replaced another.', ({ replacements }) => replacements],
  ['reorganisations_total', 'Settled batches that a reorganisation took back.', (status) => status.reorganisations],
];

const RECENT_BATCHES = 100;

/** @param pool reads what recent batches cost */
export function observeSettlement(registry: Registry, submitter: Pick<Submitter, 'status'>, pool: Pool): void {
  for (const [name, help, read] of GAUGES) {
    new Gauge({
      name: `tallystick_settlement_${name}`,
      help,
      registers: [registry],
      collect() {
        const value = read(submitter.status());
        if (value !== undefined) this.set(value);
      },
    });
  }
  for (const [name, help, read] of COUNTERS) {
    new Counter({
      name: `tallystick_settlement_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read(submitter.status()) ?? 0);
      },
    });
  }
  new Gauge({
    name: 'tallystick_settlement_waiting',
    help: 'Why settlement waits although batches are pending: 1 for the present reason.',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      const { waitingFor } = submitter.status();
      for (const reason of WAIT_REASONS) this.set({ reason }, Number(reason === waitingFor));
    },
  });
  new Gauge({
    name: 'tallystick_settlement_gas_per_trade',
    help: `Gas that settlement used per trade, over the last ${RECENT_BATCHES} batches.`,
    registers: [registry],
    async collect() {
      const perTrade = await readGasPerTrade(pool);
      if (perTrade !== undefined) this.set(perTrade);
    },
  });
  new Gauge({
    name: 'tallystick_incidents_open',
    help: 'Open incidents by kind; anything above zero needs a look at the runbooks.',
    labelNames: ['kind'],
    registers: [registry],
    async collect() {
      this.reset();
      const { rows } = await pool.query<{ kind: string; open: number }>(
        'SELECT kind, count(*)::integer AS open FROM incidents WHERE closed_at IS NULL GROUP BY kind',
      );
      for (const { kind, open } of rows) this.set({ kind }, open);
    },
  });
}

/** Undefined before a batch with trades was settled. */
async function readGasPerTrade(pool: Pool): Promise<number | undefined> {
  const { rows } = await pool.query<{ per_trade: number | null }>(
    `SELECT (sum(gas_used) / nullif(sum(trade_count), 0))::float8 AS per_trade FROM (
       SELECT gas_used, trade_count FROM settlements JOIN batches USING (batch_id, journal_sequence)
        WHERE gas_used IS NOT NULL ORDER BY batch_id DESC LIMIT ${RECENT_BATCHES}) recent`,
  );
  return rows[0]?.per_trade ?? undefined;
}

const toNumber = (value: bigint | undefined): number | undefined => (value === undefined ? undefined : Number(value));
