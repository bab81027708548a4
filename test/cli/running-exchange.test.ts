/** The command against a running exchange: a wallet's whole way, the audit, and the operator's. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { type Hex, hexToBigInt, toHex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { createRpcEndpoint } from '../../src/chain/rpc-pool.ts';
import type { Address } from '../../src/domain/units.ts';
import { verifyRowContent } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createFundedWallet, type RunningExchange, startRunningExchange } from '../support/running-exchange.ts';
import { pageSlot } from '../support/settlement-lab.ts';
import { useTemporaryDirectory } from '../support/temporary-directory.ts';
import { type Ran, runTallystick } from './run-tallystick.ts';

const EXIT_DELAY_SECONDS = 7_200;
const PATIENCE_MS = 60_000;

describe('tallystick against a running exchange', function () {
  this.timeout(180_000);
  const directory = useTemporaryDirectory();
  let database: TestDatabase;
  let pool: Pool;
  let exchange: RunningExchange;
  let vault: Address;
  let ann: Hex;
  let ben: Hex;

  before(async () => {
    database = await createTestDatabase();
    pool = openDatabase({ url: database.url, applicationName: 'test', connectionsMax: 2 });
    exchange = await startRunningExchange({ environment: { DATABASE_URL: database.url, SEAL_AGE_MS: '300' } });
    const contracts = (await (await fetch(`${exchange.url}/api/v1/contracts`)).json()) as { vault: string };
    vault = contracts.vault.toLowerCase() as Address;
    ann = await createFundedWallet(exchange, { USDC: '10000' });
    ben = await createFundedWallet(exchange, { WETH: '10', USDC: '100' });
  });
  after(async () => {
    await exchange?.stop();
    await pool?.end();
    await database?.drop();
  });

  const environment = (wallet?: Hex): Record<string, string> => ({
    TALLYSTICK_URL: exchange.url,
    DATABASE_URL: database.url,
    RPC_URL: exchange.rpcUrl,
    ...(wallet === undefined ? {} : { TALLYSTICK_PRIVATE_KEY: wallet }),
  });
  const tally = (args: readonly string[], wallet?: Hex): Promise<Ran> => runTallystick(args, environment(wallet));

  /** The JSON of a command that must succeed. */
  async function done(args: readonly string[], wallet?: Hex): Promise<Record<string, unknown>> {
    const ran = await tally([...args, '--json'], wallet);
    assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stdout}${ran.stderr}`);
    return ran.json();
  }

  /** What the API answered to the order that rested first. */
  const acknowledgement = (): string => join(directory.path(), 'acknowledgement.json');

  async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (performance.now() > deadlineMs) assert.fail(`waited too long: ${what}`);
      await sleep(200);
    }
  }

  const statusOf = async (): Promise<{ withdrawalsHalted: string | null; openIncidents: number }> =>
    (await (await fetch(`${exchange.url}/api/v1/status`)).json()) as never;

  it('deposits, quotes, trades to finality, cancels and withdraws', async () => {
    await Promise.all([
      done(['deposit', 'USDC', '9000', '--wait'], ann),
      done(['deposit', 'WETH', '5', '--wait'], ben),
    ]);
    const resting = await done(['order', 'sell', '2', 'WETH-USDC', '--price', '2500', '--post-only'], ben);
    writeFileSync(acknowledgement(), JSON.stringify(resting));
    const book = await done(['book', 'WETH-USDC']);
    assert.deepEqual(book['asks'], [['2500', '2']]);
    const dry = await done(['order', 'buy', '1', 'WETH-USDC', '--price', '2500', '--dry-run'], ann);
    assert.equal(dry['valid'], true);
    const placed = await done(['order', 'buy', '1', 'WETH-USDC', '--price', '2500', '--wait'], ann);
    const fills = placed['fills'] as { state: string; price: string; transactionHash: string | null }[];
    assert.deepEqual(
      fills.map(({ state, price }) => [state, price]),
      [['final', '2500']],
    );
    assert.match(fills[0]?.transactionHash ?? '', /^0x[0-9a-f]{64}$/);
    const { id } = resting['order'] as { id: string };
    const reduced = await done(['reduce', id, '0.5'], ben);
    assert.deepEqual([reduced['status'], reduced['remaining']], ['partially_filled', '0.5']);
    const cancelled = await done(['cancel', id], ben);
    assert.deepEqual([cancelled['status'], cancelled['filled']], ['cancelled', '1']);
    const withdrawal = await done(['withdraw', 'WETH', '0.5', '--wait'], ann);
    assert.equal(withdrawal['state'], 'executed');
    const { balances } = (await done(['balances'], ann)) as { balances: { asset: string; available: string }[] };
    assert.equal(balances.find(({ asset }) => asset === 'WETH')?.available, '0.5');
    const refused = await tally(['order', 'buy', '900', 'WETH-USDC', '--price', '2500'], ann);
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /ORDER_REJECTED: .*balance/);
    const offTick = await tally(['order', 'buy', '1', 'WETH-USDC', '--price', '2500.001'], ann);
    assert.equal(offTick.code, 2);
    assert.match(offTick.stderr, /multiple of 0\.01/);
  });

  it('places market and stop orders, replaces one, and keeps the dead man’s switch', async () => {
    const rest = async (args: readonly string[]): Promise<Record<string, unknown>> =>
      (await done(['order', ...args], ben))['order'] as Record<string, unknown>;
    const first = await rest(['sell', '0.2', 'WETH-USDC', '--price', '2600']);
    const replaced = await rest(['sell', '0.1', 'WETH-USDC', '--price', '2600', '--replaces', String(first['id'])]);
    assert.equal(replaced['lane'], first['lane']);
    const market = await done(['order', 'buy', '0.2', 'WETH-USDC', '--slippage-ppm', '1000'], ann);
    const taken = market['order'] as Record<string, unknown>;
    assert.deepEqual([taken['price'], taken['filled'], taken['reason']], ['2602.6', '0.1', 'ioc_remainder']);
    const stop = await rest(['sell', '0.1', 'WETH-USDC', '--price', '2300', '--stop-at-or-below', '2350']);
    assert.deepEqual([stop['status'], stop['stop']], ['open', { direction: 'at_or_below', triggerPrice: '2350' }]);
    const set = await done(['cancel', '--after', '60'], ben);
    assert.ok(Number(set['deadline']) > Date.now());
    assert.equal((await done(['cancel', '--after', '0'], ben))['deadline'], null);
    await done(['cancel', '--after', '1'], ben);
    await until('the switch cancels', async () => {
      const orders = (await done(['orders'], ben)) as unknown as Record<string, unknown>[];
      return orders.find(({ id, reason }) => id === stop['id'] && reason === 'cancel_after');
    });
  });

  it('audits chain and journal, from the API and from a file, and finds a journal that was altered', async () => {
    const trust = ['audit', '--rpc', exchange.rpcUrl, '--vault', vault];
    const live = await tally([...trust, '--journal', exchange.url]);
    assert.equal(live.code, 0, live.stdout + live.stderr);
    assert.match(live.stdout, /^OK: all \d+ checks hold\./);
    const file = join(directory.path(), 'journal.jsonl');
    const { stdout } = await tally(['journal']);
    writeFileSync(file, stdout);
    const report = await done([...trust, '--journal', file, '--receipt', acknowledgement()]);
    assert.equal(report['verdict'], 'ok');
    const checks = report['checks'] as { name: string; made: number; failed: number }[];
    const receipts = checks.find(({ name }) => name === 'receipts');
    assert.deepEqual([receipts?.made, receipts?.failed], [1, 0]);

    const rows = readFileSync(file, 'utf8').trimEnd().split('\n');
    writeFileSync(file, [...rows.slice(0, 5), ...rows.slice(6)].join('\n'));
    const cut = await tally([...trust, '--journal', file]);
    assert.equal(cut.code, 1, cut.stdout);
    assert.match(cut.stdout, /^FAILED: .*journal_chain: journal row at sequence \d+: missing_row/ms);
    const absent = await tally([...trust, '--journal', join(directory.path(), 'nowhere.jsonl')]);
    assert.equal(absent.code, 3, absent.stdout);
    assert.match(absent.stdout, /INCOMPLETE: .*could not be read from/);
  });

  it('examines the services and replays their journal', async () => {
    const { json } = await tally(['doctor', '--json']);
    const { checks } = json() as { checks: { name: string; state: string; found: string }[] };
    // Test databases run without fsync, which is just what it should complain of.
    const failed = checks.filter(({ state }) => state === 'failed');
    assert.deepEqual(
      failed.map(({ name }) => name),
      ['durability'],
    );
    assert.match(failed[0]?.found ?? '', /fsync.* off/);
    assert.ok(checks.some(({ name, state }) => name.endsWith('eth_getBlockReceipts') && state === 'ok'));
    assert.ok(checks.some(({ name, found }) => name === 'vault' && found.includes(vault)));
    const replayed = await done(['replay']);
    assert.equal(replayed['matches'], true);
    assert.match(String(replayed['stateHash']), /^0x[0-9a-f]{64}$/);
  });

  it('journals a decision exactly once, also when the engine forgets that it did', async () => {
    const halted = await done(['operator', 'set-market-state', 'WBTC-USDC', 'cancel_only', '--reason', 'a drill']);
    const reason = 'only to see it repeated';
    const { requestId, journalSequence } = await done(['operator', 'halt-withdrawals', '--reason', reason]);
    assert.ok(Number(journalSequence) > Number(halted['journalSequence']));
    // As a crash between the journal's commit and the request's mark leaves it.
    await pool.query(
      'UPDATE operator_requests SET handled_at = NULL, outcome = NULL, journal_sequence = NULL WHERE id = $1',
      [requestId],
    );
    const again = await until('the request is handled again', async () => {
      const { rows } = await pool.query(
        'SELECT journal_sequence FROM operator_requests WHERE id = $1 AND handled_at IS NOT NULL',
        [requestId],
      );
      return rows[0] as { journal_sequence: number } | undefined;
    });
    assert.equal(again.journal_sequence, journalSequence);
    let times = 0;
    for await (const row of new PostgresJournalReader(pool).rowsFrom(1)) {
      for (const { command } of verifyRowContent(row)) {
        if (command.kind === 'haltWithdrawals' && command.reason.startsWith(reason)) times += 1;
      }
    }
    assert.equal(times, 1);
    await done(['operator', 'set-market-state', 'WBTC-USDC', 'open', '--reason', 'the drill is over']);
    await done(['operator', 'resume-withdrawals', '--reason', 'the drill is over']);
    const nowhere = await tally(['operator', 'set-market-state', 'XX-YY', 'open', '--reason', 'a drill']);
    assert.equal(nowhere.code, 2);
    assert.match(nowhere.stderr, /market must be one of WETH-USDC, WBTC-USDC/);
  });

  it('sets fees, tiers, limits and terms, which the API then shows', async () => {
    const because = ['--reason', 'a schedule'];
    await done(['operator', 'set-market-parameters', 'WBTC-USDC', '--maker-fee-ppm', '50', ...because]);
    await done(['operator', 'set-fee-tiers', 'WBTC-USDC', '1000:40:400', '1000000.5:0:100', ...because]);
    await done(['operator', 'set-limits', '--open-orders', '400', ...because]);
    await done(['operator', 'set-withdrawal-terms', 'USDC', '--fee', '0.5', '--minimum', '2', ...because]);
    const fees = await until('the schedule is shown', async () => {
      const answer = (await (await fetch(`${exchange.url}/api/v1/fees`)).json()) as {
        trading: { market: string; tiers: unknown[] }[];
        withdrawals: { asset: string; fee: string; minimum: string }[];
      };
      const shown = answer.withdrawals.find(({ asset }) => asset === 'USDC')?.minimum === '2';
      return shown ? answer : undefined;
    });
    assert.deepEqual(
      fees.trading.find(({ market }) => market === 'WBTC-USDC'),
      {
        market: 'WBTC-USDC',
        makerFeePpm: 50,
        takerFeePpm: 500,
        tiers: [
          { volume: '1000', makerFeePpm: 40, takerFeePpm: 400 },
          { volume: '1000000.5', makerFeePpm: 0, takerFeePpm: 100 },
        ],
      },
    );
    const nothing = await tally(['operator', 'accept-clock-jump', ...because]);
    assert.match(nothing.stdout + nothing.stderr, /no jump to accept/);
    const tooMuch = await tally([
      'operator',
      'set-market-parameters',
      'WBTC-USDC',
      '--maker-fee-ppm',
      '49000',
      ...because,
    ]);
    assert.match(tooMuch.stdout + tooMuch.stderr, /the vault takes at most/);
    await done(['operator', 'set-withdrawal-terms', 'USDC', '--fee', '0', '--minimum', '0', ...because]);
  });

  it('names drift, halts withdrawals at it, and resumes them by an operator alone', async () => {
    const rpc = createRpcEndpoint(exchange.rpcUrl);
    const account = privateKeyToAccount(ben).address.toLowerCase() as Address;
    const slot = pageSlot(account);
    /** Changes one balance on the vault's books behind its back, by one quantum. */
    const tamper = async (by: bigint): Promise<void> => {
      const word = hexToBigInt((await rpc.request('eth_getStorageAt', [vault, slot, 'latest'])) as Hex) + by;
      await rpc.request('anvil_setStorageAt', [vault, slot, toHex(word, { size: 32 })]);
    };
    await tamper(1n);
    await done(['deposit', 'USDC', '10'], ben);
    const halted = await until('drift is found', async () => (await statusOf()).withdrawalsHalted ?? undefined);
    assert.ok(halted.includes(account), halted);
    const refused = await tally(['withdraw', 'USDC', '1', '--json'], ann);
    assert.equal(refused.code, 4);
    assert.match(
      refused.stderr,
      /WITHDRAWAL_REJECTED: Withdrawals are halted .*exit on chain\. \(withdrawals_halted\)/,
    );
    assert.equal((refused.json()['error'] as { reason?: string }).reason, 'withdrawals_halted');
    const incidents = (await done(['operator', 'incidents'])) as unknown as { id: number; kind: string }[];
    assert.ok(incidents.length > 0 && incidents.every(({ kind }) => kind === 'drift'));

    await tamper(-1n);
    await done(['deposit', 'USDC', '10', '--wait'], ben);
    await until('the next comparison finds none', async () => {
      const { rows } = await pool.query('SELECT drifted FROM reconciliations ORDER BY id DESC LIMIT 1');
      return rows[0].drifted === false ? true : undefined;
    });
    assert.notEqual((await statusOf()).withdrawalsHalted, null);
    await done(['operator', 'resume-withdrawals', '--reason', 'the planted quantum was taken out']);
    for (const { id } of incidents)
      await done(['operator', 'close-incident', String(id), '--reason', 'planted by a test']);
    await until('withdrawals are open', async () => ((await statusOf()).withdrawalsHalted === null ? true : undefined));
    assert.equal((await statusOf()).openIncidents, 0);
    assert.equal((await done(['withdraw', 'USDC', '1', '--wait'], ann))['state'], 'executed');
  });

  it('leaves the vault with a node alone: request, wait for the delay, paid out', async () => {
    const { data } = (await (await fetch(`${exchange.url}/api/v1/assets`)).json()) as {
      data: { symbol: string; token: string }[];
    };
    const token = data.find(({ symbol }) => symbol === 'USDC')?.token ?? '';
    // Nobody answers at the API's address.
    const alone = ['exit', token, '--vault', vault, '--rpc', exchange.rpcUrl, '--url', 'http://127.0.0.1:1'];
    assert.equal((await done(alone, ann))['state'], 'requested');
    assert.equal((await done([...alone, '--status'], ann))['state'], 'requested');
    await createRpcEndpoint(exchange.rpcUrl).request('evm_increaseTime', [EXIT_DELAY_SECONDS]);
    assert.equal((await done([...alone, '--wait'], ann))['state'], 'executed');
    assert.equal((await done([...alone, '--status'], ann))['state'], 'none');
  });
});
