import assert from 'node:assert/strict';
import type pg from 'pg';
import { createWalletClient, http } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import type { Command } from '../../src/domain/commands.ts';
import { verifyRowContent } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { LOCAL_ACCOUNTS } from '../../src/services/local-keys.ts';
import { LOCAL_MNEMONIC } from '../../src/services/local-node.ts';
import { type BatchKey, readBatchToSettle } from '../../src/settlement/outbox.ts';
import { encodeSettle } from '../../src/settlement/settle-call.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { runTallystick } from '../cli/run-tallystick.ts';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { ResealingExchange } from './resealing-exchange.ts';

const BLOCK_GAS_LIMIT = 60_000_000;

describe('a batch that cannot land', function () {
  this.timeout(180_000);
  let pool: pg.Pool;
  let exchange: ResealingExchange;
  // Declared first, so that it runs before the database is dropped.
  after(async () => {
    await exchange?.stop();
    await pool.end();
  });
  const database = useTestDatabase();
  const chain = useLocalNode({ blockTimeSeconds: 1, flags: ['--mixed-mining'] });
  let trades = 0;

  before(async () => {
    pool = openDatabase({ url: database.url(), applicationName: 'reseal test', connectionsMax: 4 });
    exchange = await ResealingExchange.open(chain.node(), pool, database.url());
  });

  // What a reseal has taught about the size of batches is forgotten: the next ones are full again.
  beforeEach(async () => {
    await exchange.stop();
    await exchange.start();
  });
  afterEach(async () => {
    await exchange.setBlockGasLimit(BLOCK_GAS_LIMIT);
    await exchange.mineBySecond(true);
  });

  async function trade(count: number): Promise<void> {
    await exchange.trade(count);
    trades += count;
  }

  /** Contents of the outbox that no one has settled, oldest first. */
  async function waiting(): Promise<BatchKey[]> {
    const { rows } = await pool.query<{ batch_id: string; journal_sequence: string }>(
      `SELECT batch_id, journal_sequence FROM batches
        WHERE batch_id > (SELECT coalesce(max(batch_id), 0) FROM settlements WHERE state IN ('included', 'final'))
        ORDER BY journal_sequence, batch_id`,
    );
    return rows.map((row) => ({ batchId: Number(row.batch_id), journalSequence: Number(row.journal_sequence) }));
  }

  /** What a reseal made of a batch and those after it. */
  const newContents = (whole: BatchKey, count: number): Promise<BatchKey[]> =>
    exchange.until('the new contents', async () => {
      const contents = (await waiting()).filter(({ journalSequence }) => journalSequence > whole.journalSequence);
      return contents.length === count ? contents : undefined;
    });

  /** The batch that is to land last, once every trade is in one that is published. */
  const sealed = (): Promise<BatchKey> =>
    exchange.until('a sealed batch', async () => {
      const { rows } = await pool.query<{
        batched: number;
        last: number | null;
        journal_sequence: string | number | null;
      }>(
        `SELECT (SELECT count(*)::integer FROM trades WHERE state <> 'matched') AS batched,
           (SELECT max(batch_id)::integer FROM trades) AS last,
           (SELECT journal_sequence FROM pending_batches WHERE batch_id = (SELECT max(batch_id) FROM trades))`,
      );
      const [row] = rows;
      if (row?.batched !== trades || row.last === null || row.journal_sequence === null) return undefined;
      return { batchId: row.last, journalSequence: Number(row.journal_sequence) };
    });

  async function reseals(): Promise<Extract<Command, { kind: 'resealBatch' }>[]> {
    const found: Extract<Command, { kind: 'resealBatch' }>[] = [];
    for await (const row of new PostgresJournalReader(pool).rowsFrom(1)) {
      const commands = verifyRowContent(row);
      for (const { command } of commands) {
        if (command.kind !== 'resealBatch') continue;
        assert.equal(commands.length, 1, 'a reseal has its row for itself');
        found.push(command);
      }
    }
    return found;
  }

  async function openIncidents(): Promise<string[]> {
    const { rows } = await pool.query<{ summary: string }>('SELECT summary FROM incidents WHERE closed_at IS NULL');
    return rows.map(({ summary }) => summary);
  }

  async function gasOf(key: BatchKey): Promise<number> {
    const data = encodeSettle(await readBatchToSettle(pool, key));
    const from = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: LOCAL_ACCOUNTS.submitter }).address;
    return Number(await exchange.rpc('eth_estimateGas', { from, to: exchange.vault, data }, 'latest'));
  }

  const operator = (...args: readonly string[]) =>
    runTallystick(['operator', ...args, '--reason', 'a test', '--json'], { DATABASE_URL: database.url() });

  /** Ledger and vault agree, nothing is left open, and whoever has the journal and the chain finds nothing wrong. */
  async function allIsWell(): Promise<void> {
    await exchange.settled(trades);
    assert.deepEqual(await openIncidents(), []);
    const trust = ['--rpc', exchange.node.rpcUrl, '--vault', exchange.vault, '--journal', exchange.url];
    const audit = await runTallystick(['audit', ...trust]);
    assert.equal(audit.code, 0, audit.stdout + audit.stderr);
  }

  it('is cut in two, and in two again, when blocks have become smaller since it was sent, and then lands', async () => {
    await exchange.mineBySecond(false);
    await trade(8);
    const whole = await sealed();
    const gas = await gasOf(whole);
    await exchange.until('its transaction', async () =>
      (await pool.query('SELECT FROM batch_transactions WHERE batch_id = $1', [whole.batchId])).rowCount === 0
        ? undefined
        : true,
    );
    await exchange.setBlockGasLimit(Math.floor(gas / 2.2));
    await exchange.mineBySecond(true);
    await allIsWell();
    const commands = await reseals();
    assert.deepEqual(
      commands.map(({ batchId, tradesMax, contentHashes }) => [batchId, tradesMax, contentHashes.length]),
      [
        [whole.batchId, 4, 1],
        [whole.batchId, 2, 2],
      ],
    );
    assert.match(commands[0]?.reason ?? '', /needs more than \d+ gas \(request 1 of settlement\)$/);
    const batches = await exchange.batches();
    assert.deepEqual(
      batches.slice(-4).map(({ batchId, state }) => [batchId, state]),
      [0, 1, 2, 3].map((part) => [whole.batchId + part, 'final']),
    );
  });

  it('is what the vault has settled when it lands although a reseal was journaled, and what it had not sealed waits anew', async () => {
    await exchange.mineBySecond(false);
    await trade(4);
    const whole = await sealed();
    const { batchId } = whole;
    const before = (await reseals()).length;
    const first = await operator('reseal-batch', `${batchId}`, '--trades-max', '2');
    assert.equal(first.code, 0, first.stderr);
    const [, second] = await newContents(whole, 2);
    // Since the reseal, and so in no content of before it.
    await trade(1);
    const since = await sealed();
    assert.equal(since.batchId, (second?.batchId ?? 0) + 1);

    const again = await operator('reseal-batch', `${batchId}`, '--trades-max', '2');
    assert.equal(again.code, 4, again.stdout);
    assert.match(again.stdout, /cannot be cut so/);
    assert.equal((await reseals()).length, before + 1);

    // The one from before pays more than what the submitter has sent since.
    const stranger = createWalletClient({
      account: mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: LOCAL_ACCOUNTS.yours[0] }),
      chain: foundry,
      transport: http(exchange.node.rpcUrl),
    });
    await stranger.sendTransaction({
      to: exchange.vault,
      data: encodeSettle(await readBatchToSettle(pool, whole)),
      gas: 5_000_000n,
      maxPriorityFeePerGas: 10n ** 12n,
      maxFeePerGas: 2n * 10n ** 12n,
    });
    await exchange.mineBySecond(true);
    await allIsWell();
    const last = (await exchange.batches()).slice(-2);
    assert.deepEqual(
      last.map(({ batchId, state, trades: count, journalSequence }) => [
        batchId,
        state,
        count,
        journalSequence === whole.journalSequence,
      ]),
      [
        [batchId, 'final', 4, true],
        [batchId + 1, 'final', 1, false],
      ],
    );
  });

  it('lands in the content that a reorganisation leaves, whichever had landed before', async () => {
    await exchange.mineBySecond(false);
    await trade(4);
    const whole = await sealed();
    const asked = await operator('reseal-batch', `${whole.batchId}`, '--trades-max', '2');
    assert.equal(asked.code, 0, asked.stderr);
    await newContents(whole, 2);
    const stranger = createWalletClient({
      account: mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: LOCAL_ACCOUNTS.yours[1] }),
      chain: foundry,
      transport: http(exchange.node.rpcUrl),
    });
    await stranger.sendTransaction({
      to: exchange.vault,
      data: encodeSettle(await readBatchToSettle(pool, whole)),
      gas: 5_000_000n,
      maxPriorityFeePerGas: 10n ** 12n,
      maxFeePerGas: 2n * 10n ** 12n,
    });
    const landed = async (): Promise<number | undefined> => {
      const { rows } = await pool.query<{ journal_sequence: string | null }>(
        'SELECT journal_sequence FROM settlements WHERE batch_id = $1',
        [whole.batchId],
      );
      return Number(rows[0]?.journal_sequence ?? 0) || undefined;
    };
    await exchange.rpc('evm_mine');
    assert.equal(await exchange.until('the first to land', landed), whole.journalSequence);
    await exchange.rpc('anvil_reorg', 1, []);
    await exchange.mineBySecond(true);
    await exchange.until('the other to land', async () => {
      const sequence = await landed();
      return sequence !== undefined && sequence > whole.journalSequence ? true : undefined;
    });
    await allIsWell();
    assert.deepEqual(
      (await exchange.batches()).slice(-2).map(({ batchId, trades: count }) => [batchId, count]),
      [
        [whole.batchId, 2],
        [whole.batchId + 1, 2],
      ],
    );
  });

  it('is cut once though the engine ends before the request is read, before its end is noted, and before what it made is published', async () => {
    await exchange.mineBySecond(false);
    await trade(4);
    const whole = await sealed();
    const before = (await reseals()).length;
    await exchange.stop();
    const unread = await operator('reseal-batch', `${whole.batchId}`, '--timeout', '1');
    assert.match(unread.stderr, /is recorded, but no engine has taken it/);
    assert.equal((await reseals()).length, before);

    exchange.signerAway = true;
    await exchange.start();
    await exchange.until('the journaled reseal', async () => ((await reseals()).length > before ? true : undefined));
    const handled = async (): Promise<string | null> =>
      (await pool.query<{ outcome: string | null }>('SELECT outcome FROM operator_requests ORDER BY id DESC LIMIT 1'))
        .rows[0]?.outcome ?? null;
    await exchange.until('its end noted', async () => ((await handled()) === 'journaled' ? true : undefined));
    assert.deepEqual((await waiting()).at(-1), whole, 'nobody has signed what it made');
    await exchange.stop();
    await pool.query(
      `UPDATE operator_requests SET handled_at = NULL, outcome = NULL, journal_sequence = NULL
        WHERE id = (SELECT max(id) FROM operator_requests)`,
    );

    exchange.signerAway = false;
    await exchange.start();
    await exchange.until('its end noted again', async () => ((await handled()) === 'journaled' ? true : undefined));
    const [first] = await newContents(whole, 2);
    await exchange.until('the new transaction in the place of the old one', async () => {
      const sent = 'SELECT FROM batch_transactions WHERE journal_sequence = $1 AND last_sent_at IS NOT NULL';
      return (await pool.query(sent, [first?.journalSequence])).rowCount === 0 ? undefined : true;
    });
    await exchange.mineBySecond(true);
    await allIsWell();
    assert.equal((await reseals()).length, before + 1);
    assert.deepEqual(
      (await exchange.batches()).slice(-2).map(({ batchId, trades: count }) => [batchId, count]),
      [
        [whole.batchId, 2],
        [whole.batchId + 1, 2],
      ],
    );
  });
});
