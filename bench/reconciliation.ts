/**
 * Reconciliation of very many accounts: a sweep of all of them against a vault on a local node, one quantum of drift in one of them, and the
 * comparison after a batch that changed few.
 *
 *   npm run bench:reconciliation -- --json                the last line is one JSON object
 *   npm run bench:reconciliation -- --accounts 10000      fewer accounts
 *
 * The balances are written straight into the node's storage and into the ledger's table: depositing would take longer than everything else.
 * The vault, its totals and its tokens are real, and so are the comparison and everything that it reads.
 */
import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Pool } from 'pg';
import { inspectVault } from '../src/chain/inspect-vault.ts';
import { createRpcPool, type RpcCall } from '../src/chain/rpc-pool.ts';
import type { Address, Hash, Hex } from '../src/domain/units.ts';
import { type ReconciliationReport, reconcile } from '../src/reconciliation/reconcile.ts';
import { startEmbeddedPostgres } from '../src/services/embedded-postgres.ts';
import { startLocalNode } from '../src/services/local-node.ts';
import { migrate, openDatabase } from '../src/storage/database.ts';
import { pageSlot, SettlementLab } from '../test/support/settlement-lab.ts';

const ASSETS = 3;
/** Accounts that a batch changes. */
const CHANGED = 500;
const CALLS_AT_ONCE = 1_000;

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, accounts: { type: 'string', default: '100000' } },
});
const accountCount = Number(values.accounts);
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};
const addressOf = (index: number): Address => `0xacc0${index.toString(16).padStart(36, '0')}`;
/** The same formula stands in SQL below. */
const balanceOf = (index: number, asset: number): number => 1 + ((index * 7_919 + asset * 104_729) % 1_000_000);

const directory = await mkdtemp(join(tmpdir(), 'tallystick-bench-'));
const postgres = await startEmbeddedPostgres({ dataDirectory: join(directory, 'postgres') });
const node = await startLocalNode();
await migrate(postgres.url);
const pool = openDatabase({ url: postgres.url, applicationName: 'bench-reconciliation' });
try {
  const lab = await SettlementLab.create(node);
  const rpc = createRpcPool([node.rpcUrl], { timeoutMs: 60_000 });
  await seedVault(lab);
  await seedLedger(pool);
  const options = { pool, rpc, vault: lab.vault };
  const compare = async (fullSweep: boolean): Promise<{ report: ReconciliationReport; seconds: number }> => {
    await standAtHead(lab);
    const beganMs = performance.now();
    const result = await reconcile(options, { fullSweep });
    const seconds = (performance.now() - beganMs) / 1_000;
    if (result.kind !== 'compared') throw new Error(`nothing was compared: ${result.kind}`);
    return { report: result.report, seconds };
  };

  const sweep = await compare(true);
  assert.deepEqual(sweep.report.drift, []);
  assert.equal(sweep.report.accountsCompared, accountCount);
  assert.ok(sweep.report.solvency.every(({ solvent }) => solvent));
  say(`swept ${sweep.report.balancesCompared} balances of ${accountCount} accounts in ${sweep.seconds.toFixed(1)} s`);

  const drifting = Math.floor(accountCount * 0.735);
  await lab.rpc.request('anvil_setStorageAt', [lab.vault, pageSlot(addressOf(drifting)), pageZero(drifting, 1)]);
  const found = await compare(true);
  const [ledger, vault] = [balanceOf(drifting, 0), balanceOf(drifting, 0) + 1];
  assert.deepEqual(found.report.drift, [{ account: addressOf(drifting), asset: 0, ledger, vault }]);
  say(`one quantum in one account found in ${found.seconds.toFixed(1)} s: ${JSON.stringify(found.report.drift[0])}`);
  await lab.rpc.request('anvil_setStorageAt', [lab.vault, pageSlot(addressOf(drifting)), pageZero(drifting, 0)]);

  await changeSome(lab, pool);
  const incremental = await compare(false);
  assert.deepEqual(incremental.report.drift, []);
  // With the one that drifted before.
  assert.equal(incremental.report.accountsCompared, CHANGED + 1);
  const incrementalMs = Math.round(incremental.seconds * 1_000);
  say(`${CHANGED} changed accounts compared in ${incrementalMs} ms`);

  const result = {
    accounts: accountCount,
    balances: sweep.report.balancesCompared,
    sweepSec: Number(sweep.seconds.toFixed(2)),
    accountsPerSec: Math.round(accountCount / sweep.seconds),
    driftFound: true,
    changedAccounts: CHANGED,
    incrementalMs,
  };
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  await pool.end();
  await node.stop();
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
}

/** Word of page 0 with the account's balances of assets 0 and 1, the former changed by `drift` quanta. */
function pageZero(index: number, drift: number): Hex {
  return wordOf((BigInt(balanceOf(index, 1)) << 64n) | BigInt(balanceOf(index, 0) + drift));
}

function wordOf(value: bigint): Hex {
  return `0x${value.toString(16).padStart(64, '0')}`;
}

/** One account deposits everything, so that totals and tokens are the vault's own; then its books are divided among all accounts. */
async function seedVault(lab: SettlementLab): Promise<void> {
  const whale = await lab.createFundedUser('whale');
  for (let asset = 0; asset < ASSETS; asset++) {
    let total = 0;
    for (let index = 0; index < accountCount; index++) total += balanceOf(index, asset);
    await lab.deposit(whale, asset, total);
  }
  const writes: RpcCall[] = [0, 1].map((page) => storageWrite(lab, whale.address, page, wordOf(0n)));
  for (let index = 0; index < accountCount; index++) {
    writes.push(storageWrite(lab, addressOf(index), 0, pageZero(index, 0)));
    writes.push(storageWrite(lab, addressOf(index), 1, wordOf(BigInt(balanceOf(index, 2)))));
  }
  for (let start = 0; start < writes.length; start += CALLS_AT_ONCE) {
    await lab.rpc.batch(writes.slice(start, start + CALLS_AT_ONCE));
  }
}

function storageWrite(lab: SettlementLab, account: Address, page: number, word: Hex): RpcCall {
  return { method: 'anvil_setStorageAt', params: [lab.vault, pageSlot(account, page), word] };
}

async function seedLedger(pool: Pool): Promise<void> {
  await pool.query(
    `INSERT INTO balances (account, asset, available, locked, pending_withdrawal, unsettled_in, unsettled_out, settled, settled_changed_at, journal_sequence)
     SELECT decode('acc0' || lpad(to_hex(index), 36, '0'), 'hex'), asset, amount, 0, 0, 0, 0, amount, 1, 1
       FROM generate_series(0, $1 - 1) AS index, generate_series(0, $2 - 1) AS asset,
            LATERAL (SELECT 1 + ((index::bigint * 7919 + asset * 104729) % 1000000)) AS figures (amount)`,
    [accountCount, ASSETS],
  );
  await pool.query('ANALYZE balances');
}

/** A deposit moves the vault on by an event; the ledger says that it changed some accounts at that event. */
async function changeSome(lab: SettlementLab, pool: Pool): Promise<void> {
  const user = await lab.createFundedUser('one more');
  await lab.deposit(user, 1, 7);
  const at = await standAtHead(lab);
  await pool.query(
    `INSERT INTO balances (account, asset, available, locked, pending_withdrawal, unsettled_in, unsettled_out, settled, settled_changed_at, journal_sequence)
     VALUES (decode($1, 'hex'), 1, 7, 0, 0, 0, 0, 7, $2, 2)`,
    [user.address.slice(2), at],
  );
  await pool.query(
    `UPDATE balances SET settled_changed_at = $1 WHERE account IN
       (SELECT decode('acc0' || lpad(to_hex(index * 3), 36, '0'), 'hex') FROM generate_series(1, $2) AS index)`,
    [at, CHANGED - 1],
  );
}

/** What indexer and projector would have stored: the head is final, and the ledger stands at the vault's last event. */
async function standAtHead(lab: SettlementLab): Promise<number> {
  await lab.rpc.request('evm_mine', []);
  const block = (await lab.rpc.request('eth_getBlockByNumber', ['latest', false])) as {
    number: Hex;
    hash: Hash;
    parentHash: Hash;
  };
  const { eventSequence } = await inspectVault(lab.rpc, lab.vault, [], block.hash);
  await pool.query(`INSERT INTO chain_blocks VALUES ($1, decode($2, 'hex'), decode($3, 'hex'), now(), $4, true)`, [
    Number(block.number),
    block.hash.slice(2),
    block.parentHash.slice(2),
    eventSequence,
  ]);
  await pool.query('UPDATE projection_cursor SET chain_event_sequence = $1', [eventSequence]);
  return eventSequence;
}
