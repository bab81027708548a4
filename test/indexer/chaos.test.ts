/**
 * Random trouble from a seed: transactions, reorganisations, restarts, killed database sessions and lying nodes in any order. Whatever came
 * before, the rows in the end are those of the canonical chain (I11), and no event that was final was ever taken back.
 */
import assert from 'node:assert/strict';
import pg from 'pg';
import { type Indexer, startIndexer } from '../../src/indexer/run-indexer.ts';
import { type LocalNode, startLocalNode } from '../../src/services/local-node.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { deployNumberedContract, type NumberedContract } from '../support/numbered-contract.ts';
import { seededRandom } from '../support/random.ts';
import { LOG_FAULTS, type RpcProxy, startRpcProxy, type TransportFault } from '../support/rpc-proxy.ts';

const SEEDS = process.env['SEED'] === undefined ? [1, 2, 3] : [Number(process.env['SEED'])];
const STEPS = 60;
/** Reorganisations stay above it. */
const CONFIRMATIONS = 5;

describe('indexer under random trouble', () => {
  let node: LocalNode;
  let proxies: [RpcProxy, RpcProxy];
  let contract: NumberedContract;
  let database: TestDatabase;
  let pool: pg.Pool;
  let indexer: Indexer | undefined;

  beforeEach(async () => {
    node = await startLocalNode();
    contract = await deployNumberedContract(node.rpcUrl);
    proxies = [await startRpcProxy(node.rpcUrl), await startRpcProxy(node.rpcUrl)];
    database = await createTestDatabase();
    pool = new pg.Pool({ connectionString: database.url, max: 4 });
    pool.on('error', () => undefined);
  });
  afterEach(async () => {
    await indexer?.stop();
    indexer = undefined;
    await pool.end();
    await Promise.all([...proxies.map((proxy) => proxy.stop()), node.stop(), database.drop()]);
  });

  function start(): void {
    indexer ??= startIndexer({
      pool,
      rpcUrls: proxies.map(({ url }) => url),
      place: { vault: contract.address, deploymentBlock: contract.deploymentBlock },
      reader: contract.reader,
      finality: { kind: 'confirmations', count: CONFIRMATIONS },
      pollIntervalMs: 5,
      rpcTimeoutMs: 150,
      rangeBlocksMax: 7,
    });
  }

  async function killSessions(): Promise<void> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
    );
    await client.end();
  }

  for (const seed of SEEDS) {
    it(`converges (SEED=${seed})`, async function () {
      this.timeout(120_000);
      const random = seededRandom(seed);
      const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
      const faults: TransportFault[] = [
        { kind: 'cut' },
        { kind: 'hang' },
        { kind: 'reset' },
        { kind: 'status', status: 503 },
      ];
      let blocksSinceReorg = 0;
      const grow = async (work: Promise<unknown>, blocks: number): Promise<void> => {
        await work;
        blocksSinceReorg += blocks;
      };
      const actions: (() => Promise<unknown>)[] = [
        () => grow(contract.emit(1 + random(3)), 1),
        () => grow(contract.emit(5 + random(20)), 1),
        () => grow(contract.mine(1 + random(3)), 1),
        () => grow(contract.mine(50), 50),
        async () => {
          // No deeper than what was mined since the last one, so that the final blocks of no fork are touched.
          const depth = Math.min(1 + random(3), blocksSinceReorg);
          if (depth === 0) return;
          const [from] = (await contract.rpc.request('eth_accounts', [])) as [string];
          const other = { from, to: contract.address, data: `0x${'03'.repeat(1 + random(3))}`, gas: '0x40000' };
          await contract.rpc.request('anvil_reorg', [depth, random(2) === 0 ? [] : [[other, 0]]]);
          blocksSinceReorg = 0;
        },
        async () => {
          await indexer?.stop();
          indexer = undefined;
        },
        async () => start(),
        async () => start(),
        killSessions,
        async () => {
          pick(proxies).bendAnswer = pick([undefined, undefined, ...Object.values(LOG_FAULTS)]);
        },
        async () => {
          const fault = pick([undefined, undefined, ...faults]);
          pick(proxies).breakRequest = fault === undefined ? undefined : () => (random(2) === 0 ? fault : undefined);
        },
        () => new Promise((wake) => setTimeout(wake, random(60))),
      ];
      const finals = new Map<number, string>();
      for (let step = 0; step < STEPS; step++) {
        await pick(actions)();
        await noteFinalEvents(finals);
      }
      for (const proxy of proxies) {
        proxy.bendAnswer = undefined;
        proxy.breakRequest = undefined;
      }
      start();
      await contract.emit(1);
      await contract.mine(CONFIRMATIONS + 1);
      await converge();
      await noteFinalEvents(finals);
      const { rows } = await pool.query<{ count: string }>('SELECT count(*) FROM chain_events');
      assert.equal(Number(rows[0]?.count), finals.size);
    });
  }

  /** Reads what is final now, and asserts that what was final before still is the same. */
  async function noteFinalEvents(seen: Map<number, string>): Promise<void> {
    const { rows } = await pool
      .query<{ sequence: string; place: string }>(
        `SELECT e.event_sequence AS sequence, encode(b.hash, 'hex') || ' ' || encode(e.tx_hash, 'hex') || ' ' || e.log_index AS place
           FROM chain_events e JOIN chain_blocks b ON b.number = e.block_number WHERE b.final`,
      )
      // The step before may have ended this very session.
      .catch(() => pool.query('SELECT 1 WHERE false'));
    for (const { sequence, place } of rows as { sequence: string; place: string }[]) {
      assert.equal(seen.get(Number(sequence)) ?? place, place, `event ${sequence} was final and has changed`);
      seen.set(Number(sequence), place);
    }
  }

  async function converge(): Promise<void> {
    const deadlineMs = performance.now() + 20_000;
    let difference = '';
    while (performance.now() < deadlineMs) {
      difference = await differenceToChain();
      if (difference === '') return;
      await new Promise((wake) => setTimeout(wake, 25));
    }
    assert.fail(`${difference}; ${JSON.stringify(indexer?.status())}`);
  }

  async function differenceToChain(): Promise<string> {
    const filter = { address: contract.address, fromBlock: '0x0', toBlock: 'latest' };
    const logs = (await contract.rpc.request('eth_getLogs', [filter])) as {
      data: string;
      blockHash: string;
      transactionHash: string;
      logIndex: string;
    }[];
    const { rows } = await pool.query<{ line: string }>(
      `SELECT e.event_sequence || ' 0x' || encode(b.hash, 'hex') || ' 0x' || encode(e.tx_hash, 'hex') || ' ' || e.log_index AS line
         FROM chain_events e JOIN chain_blocks b ON b.number = e.block_number WHERE b.final ORDER BY e.event_sequence`,
    );
    const expected = logs.map(
      (log) => `${Number(log.data)} ${log.blockHash} ${log.transactionHash} ${Number(log.logIndex)}`,
    );
    const got = rows.map(({ line }) => line);
    const first = expected.findIndex((line, index) => line !== got[index]);
    if (first < 0 && got.length === expected.length) return '';
    return `event ${first + 1} is ${got[first]}, on chain ${expected[first]} (${got.length} of ${expected.length})`;
  }
});
