/**
 * The demo's last word: everything checked again from outside, with the services stopped. The journal is replayed through a fresh engine,
 * the chain audited on its own, ledger and vault compared account by account, every acknowledgement looked up.
 */
import { createPublicClient, http } from 'viem';
import { type AuditReport, auditChain } from '../../src/auditor/audit-chain.ts';
import { inspectVault } from '../../src/chain/inspect-vault.ts';
import { createRpcPool } from '../../src/chain/rpc-pool.ts';
import type { SealedBatch } from '../../src/domain/batches.ts';
import type { EngineEvent } from '../../src/domain/events.ts';
import type { Address, Hash } from '../../src/domain/units.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { JOURNAL_START, sha256, toHex, verifyRow } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { stateHash } from '../../src/offchain-engine/snapshot.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import type { Acknowledged } from './trade.ts';

export type Checked = {
  readonly trades: number;
  readonly fillsSettled: number;
  readonly fillsVoided: number;
  readonly batches: number;
  readonly withdrawals: number;
  readonly exits: number;
  readonly accountsCompared: number;
  readonly drift: number;
  readonly gasPerTrade: number;
  readonly journalReplayed: boolean;
  readonly stateHashMatches: boolean;
  readonly ackedLost: number;
  readonly settledTwice: number;
  /** Over makers, takers, prices and sizes in order: the same for the same seed. */
  readonly tradesHash: string;
  readonly audit: AuditReport['verdict'];
  /** One sentence for each promise that does not hold. */
  readonly broken: readonly string[];
};

type Replayed = {
  readonly engine: Engine;
  readonly events: readonly EngineEvent[];
  readonly accepted: ReadonlyMap<string, number>;
};

export async function checkFromOutside(options: {
  databaseUrl: string;
  rpcUrl: string;
  vault: Address;
  accounts: readonly Address[];
  acknowledged: readonly Acknowledged[];
}): Promise<Checked> {
  const pool = openDatabase({ url: options.databaseUrl, applicationName: 'tallystick-demo', connectionsMax: 4 });
  try {
    const journal = new PostgresJournalReader(pool);
    const replayed = await replay(journal);
    const snapshotHash = await latestSnapshotHash(new PostgresSnapshots({ pool }), replayed.engine.lastSequence);
    const { rows } = await pool.query<{ tx_hash: Buffer }>(
      "SELECT e.tx_hash FROM chain_events e JOIN chain_blocks b ON b.number = e.block_number WHERE e.kind = 'batchSettled' AND b.final",
    );
    const settleHashes = rows.map((row): Hash => toHex(row.tx_hash));
    const [audit, books, gas] = await Promise.all([
      auditChain({ rpcUrl: options.rpcUrl, vault: options.vault, journal: journal.rowsFrom(1) }),
      compareBooks(options, replayed.engine),
      gasUsed(options.rpcUrl, settleHashes),
    ]);
    return judge({ options, replayed, snapshotHash, audit, books, gas });
  } finally {
    await pool.end();
  }
}

async function replay(journal: PostgresJournalReader): Promise<Replayed> {
  const engine = new Engine();
  const events: EngineEvent[] = [];
  const accepted = new Map<string, number>();
  let position = JOURNAL_START;
  for await (const row of journal.rowsFrom(1)) {
    const verified = verifyRow(position, row);
    position = verified.position;
    for (const sequenced of verified.commands) {
      for (const event of engine.apply(sequenced).events) {
        events.push(event);
        if (event.kind === 'orderAccepted') accepted.set(event.order.digest, sequenced.sequence);
      }
    }
  }
  return { engine, events, accepted };
}

/** What the engine itself wrote down when it stopped; undefined when that is not where the journal ends. */
async function latestSnapshotHash(snapshots: PostgresSnapshots, lastSequence: number): Promise<Hash | undefined> {
  for await (const snapshot of snapshots.newestFirst()) {
    return snapshot.sequence === lastSequence ? snapshot.stateHash : undefined;
  }
  return undefined;
}

async function compareBooks(
  options: { rpcUrl: string; vault: Address; accounts: readonly Address[] },
  engine: Engine,
): Promise<{ accountsCompared: number; drift: number; insolvent: number }> {
  const client = createPublicClient({ transport: http(options.rpcUrl) });
  const { hash } = await client.getBlock();
  const state = await createRpcPool([options.rpcUrl]).run((endpoint) =>
    inspectVault(endpoint, options.vault, options.accounts, hash),
  );
  let drift = 0;
  for (const { account, balances } of state.accounts) {
    for (const [asset, onChain] of balances.entries())
      if (engine.balance(account, asset).settled !== onChain) drift += 1;
  }
  const insolvent = state.assets.filter((asset) => BigInt(asset.booked) * asset.quantumUnits > asset.heldUnits).length;
  return { accountsCompared: state.accounts.length, drift, insolvent };
}

async function gasUsed(rpcUrl: string, hashes: readonly Hash[]): Promise<bigint> {
  const client = createPublicClient({ transport: http(rpcUrl) });
  const receipts = await Promise.all([...new Set(hashes)].map((hash) => client.getTransactionReceipt({ hash })));
  return receipts.reduce((sum, receipt) => sum + receipt.gasUsed, 0n);
}

function judge(found: {
  options: { acknowledged: readonly Acknowledged[] };
  replayed: Replayed;
  snapshotHash: Hash | undefined;
  audit: AuditReport;
  books: { accountsCompared: number; drift: number; insolvent: number };
  gas: bigint;
}): Checked {
  const { replayed, audit, books } = found;
  const of = <Kind extends EngineEvent['kind']>(kind: Kind) =>
    replayed.events.filter((event): event is Extract<EngineEvent, { kind: Kind }> => event.kind === kind);
  const trades = of('trade');
  const final = of('batchFinal');
  const settled = final.flatMap((event) => event.settledTrades);
  const voided = final.flatMap((event) => event.voidedTrades);
  const ackedLost = found.options.acknowledged.filter(
    ({ id, journalSequence }) => replayed.accepted.get(id) !== journalSequence,
  ).length;
  const settledTwice =
    settled.length - new Set(settled).size + countTwiceSealed(of('batchSealed').map(({ batch }) => batch));
  const stateHashMatches = found.snapshotHash !== undefined && stateHash(replayed.engine) === found.snapshotHash;
  const unsettled = trades.length - settled.length - voided.length;
  const broken = [
    ...(books.drift > 0 ? [`${books.drift} balances differ between ledger and vault`] : []),
    ...(books.insolvent > 0 ? [`${books.insolvent} assets are booked above what the vault holds`] : []),
    ...(ackedLost > 0 ? [`${ackedLost} acknowledged orders are not in the journal`] : []),
    ...(settledTwice > 0 ? [`${settledTwice} trades were settled twice`] : []),
    ...(stateHashMatches ? [] : ['the replayed journal does not give the state that the engine wrote down']),
    ...(unsettled > 0 ? [`${unsettled} trades are neither settled nor voided`] : []),
    ...(audit.verdict === 'ok'
      ? []
      : [`the audit says ${audit.verdict}: ${JSON.stringify(audit.failures.slice(0, 3))} ${audit.incomplete ?? ''}`]),
    ...(audit.figures.stateHash === stateHash(replayed.engine) ? [] : ['the auditor replays to another state']),
  ];
  return {
    trades: trades.length,
    fillsSettled: settled.length * 2,
    fillsVoided: voided.length * 2,
    batches: final.length,
    withdrawals: of('withdrawalDone').filter(({ status }) => status === 'executed').length,
    exits: of('exitChanged').filter(({ status }) => status === 'executed').length,
    accountsCompared: books.accountsCompared,
    drift: books.drift,
    gasPerTrade: settled.length === 0 ? 0 : Math.round(Number(found.gas) / settled.length),
    journalReplayed: true,
    stateHashMatches,
    ackedLost,
    settledTwice,
    tradesHash: hashTrades(trades),
    audit: audit.verdict,
    broken,
  };
}

function countTwiceSealed(batches: readonly SealedBatch[]): number {
  const ids = batches.flatMap((batch) => batch.trades.map(({ tradeId }) => tradeId));
  return ids.length - new Set(ids).size;
}

function hashTrades(trades: readonly Extract<EngineEvent, { kind: 'trade' }>[]): string {
  const lines = trades.map(({ market, price, size, takerSide, taker, maker }) =>
    [market, price, size, takerSide, taker.account, maker.account].join(' '),
  );
  return toHex(sha256(Buffer.from(lines.join('\n'))));
}
