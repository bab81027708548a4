import assert from 'node:assert/strict';
import pg from 'pg';
import type { Finality } from '../../src/chain/finality.ts';
import { ExchangeError } from '../../src/domain/errors.ts';
import { type Indexer, type IndexerOptions, startIndexer } from '../../src/indexer/run-indexer.ts';
import type { LocalNode } from '../../src/services/local-node.ts';
import { startLocalNode } from '../../src/services/local-node.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { deployNumberedContract, type NumberedContract } from '../support/numbered-contract.ts';
import { LOG_FAULTS, type RpcProxy, startRpcProxy } from '../support/rpc-proxy.ts';

/** Answers of a form that no node gives. */
const NONSENSE: Readonly<Record<string, NonNullable<RpcProxy['bendAnswer']>>> = {
  'a log that is null': bendLogs(() => null),
  'a log without address': bendLogs(({ address: _, ...log }) => log),
  'a log with a transaction hash of another length': bendLogs((log) => ({ ...log, transactionHash: '0x12' })),
  'a log with an index that is no number': bendLogs((log) => ({ ...log, logIndex: 'first' })),
  'a block with a time that is no number': (call, answer) =>
    call.method === 'eth_getBlockByNumber' && call.params[0] !== '0x0'
      ? { result: { ...(answer.result as object), timestamp: 'today' } }
      : answer,
  'a block number beyond any': (call, answer) =>
    call.params[0] === 'latest' ? { result: { ...(answer.result as object), number: `0x${'f'.repeat(30)}` } } : answer,
};

function bendLogs(bend: (log: Readonly<Record<string, unknown>>) => unknown): NonNullable<RpcProxy['bendAnswer']> {
  return (call, answer) =>
    call.method === 'eth_getLogs' && Array.isArray(answer.result) ? { result: answer.result.map(bend) } : answer;
}

const CONFIRMATIONS: Finality = { kind: 'confirmations', count: 4 };

describe('indexer', () => {
  let node: LocalNode;
  let proxy: RpcProxy;
  let contract: NumberedContract;
  let database: TestDatabase;
  let pool: pg.Pool;
  let running: Indexer[] = [];

  beforeEach(async () => {
    node = await startLocalNode();
    [contract, proxy, database] = await Promise.all([
      deployNumberedContract(node.rpcUrl),
      startRpcProxy(node.rpcUrl),
      createTestDatabase(),
    ]);
    pool = new pg.Pool({ connectionString: database.url, max: 4 });
  });

  afterEach(async () => {
    await Promise.all(running.map((indexer) => indexer.stop()));
    running = [];
    await pool.end();
    await Promise.all([proxy.stop(), node.stop(), database.drop()]);
  });

  function start(overrides: Partial<IndexerOptions> = {}): Indexer {
    const indexer = startIndexer({
      pool,
      rpcUrls: [proxy.url],
      place: { vault: contract.address, deploymentBlock: contract.deploymentBlock },
      reader: contract.reader,
      finality: CONFIRMATIONS,
      pollIntervalMs: 15,
      rpcTimeoutMs: 400,
      ...overrides,
    });
    running.push(indexer);
    return indexer;
  }

  async function stop(indexer: Indexer): Promise<void> {
    await indexer.stop();
    running = running.filter((other) => other !== indexer);
  }

  /** Waits until the rows are those of the node's chain. */
  async function converge(confirmations = 4, timeoutMs = 20_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const difference = await compareWithNode(pool, contract, confirmations);
      if (difference === undefined) return;
      if (performance.now() > deadlineMs) assert.fail(difference);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  it('stores every event once, from backfill into live blocks', async () => {
    for (const count of [1, 3, 7]) await contract.emit(count);
    await contract.mine(150);
    await contract.emit(50);
    await contract.mine(40);
    const indexer = start();
    await converge();
    await contract.emit(2);
    await contract.mine(2);
    await converge();
    assert.equal(indexer.status().lastEventSequence, 63);
    assert.equal(indexer.status().state, 'following');
  });

  for (const depth of [1, 3]) {
    for (const replacement of ['empty', 'conflicting'] as const) {
      it(`replaces the rows of a reorganisation ${depth} deep with ${replacement} blocks`, async () => {
        const indexer = start();
        await contract.mine(5);
        for (let block = 0; block < 3; block++) await contract.emit(2);
        await converge();
        await reorg(contract, depth, replacement);
        await converge();
        assert.equal(indexer.status().reorgs, 1);
        assert.equal(indexer.status().deepestReorg, depth);
        await contract.emit(1);
        await converge();
      });
    }
  }

  for (const replacement of ['empty', 'conflicting'] as const) {
    it(`replaces the rows of a reorganisation 64 deep with ${replacement} blocks`, async () => {
      const indexer = start({ finality: { kind: 'confirmations', count: 70 } });
      await contract.mine(80);
      for (let block = 0; block < 3; block++) await contract.emit(2);
      await contract.mine(60);
      await contract.emit(3);
      await converge(70);
      await reorg(contract, 64, replacement);
      await converge(70);
      assert.equal(indexer.status().deepestReorg, 64);
      await contract.emit(1);
      await converge(70);
    });
  }

  it('converges when the chain was reorganised while it was down', async () => {
    const first = start();
    await contract.mine(5);
    await contract.emit(2);
    await contract.emit(3);
    await converge();
    await stop(first);
    await reorg(contract, 2, 'conflicting');
    await contract.emit(1);
    start();
    await converge();
  });

  it('converges after two reorganisations in a row', async () => {
    start();
    await contract.mine(5);
    await contract.emit(2);
    await contract.emit(3);
    await converge();
    await reorg(contract, 2, 'conflicting');
    await reorg(contract, 1, 'empty');
    await contract.emit(1);
    await converge();
  });

  it('follows a shorter chain', async () => {
    start();
    await contract.mine(5);
    for (let block = 0; block < 3; block++) await contract.emit(2);
    await converge();
    await contract.rpc.request('anvil_rollback', [3]);
    await contract.emit(1);
    // Finality had come further than it would have on the shorter chain, and does not go back.
    await contract.mine(2);
    await converge();
  });

  it('holds the same rows as one that saw the whole chain at the end', async () => {
    start();
    await contract.mine(5);
    await contract.emit(2);
    await converge();
    await reorg(contract, 1, 'conflicting');
    await contract.mine(60);
    await contract.emit(4);
    await converge();
    const other = await createTestDatabase();
    const otherPool = new pg.Pool({ connectionString: other.url });
    try {
      const fresh = start({ pool: otherPool });
      await waitFor(async () => (await compareWithNode(otherPool, contract)) === undefined);
      assert.deepEqual(await dump(otherPool), await dump(pool));
      await stop(fresh);
    } finally {
      await otherPool.end();
      await other.drop();
    }
  });

  it('halts with an incident when final blocks are reorganised', async () => {
    const indexer = start({ finality: { kind: 'confirmations', count: 1 } });
    await contract.mine(3);
    await contract.emit(2);
    await contract.mine(3);
    await waitFor(async () => indexer.status().final !== undefined && indexer.status().lastEventSequence === 2);
    const before = await dump(pool);
    await reorg(contract, 5, 'empty');
    await contract.mine(1);
    await assert.rejects(indexer.done, (error) => error instanceof ExchangeError && error.code === 'DEEP_REORG');
    assert.equal(indexer.status().state, 'halted');
    const incidents = await pool.query<{ kind: string }>('SELECT kind FROM incidents WHERE closed_at IS NULL');
    assert.deepEqual(incidents.rows, [{ kind: 'deep_reorg' }]);
    const after = await dump(pool);
    assert.deepEqual(after.events, before.events);
  });

  it('does not follow a new genesis under the same chain id', async () => {
    const indexer = start();
    await contract.mine(5);
    await contract.emit(2);
    await converge();
    await stop(indexer);
    const stranger = await startLocalNode({ flags: ['--timestamp', '1700000000'] });
    try {
      await deployNumberedContract(stranger.rpcUrl);
      const misled = start({ rpcUrls: [stranger.rpcUrl] });
      await assert.rejects(misled.done, (error) => error instanceof ExchangeError && error.code === 'CHAIN_MISMATCH');
      assert.match(misled.status().lastError ?? '', /genesisHash is 0x/);
    } finally {
      await stranger.stop();
    }
  });

  for (const [name, bend] of Object.entries(LOG_FAULTS)) {
    it(`stores nothing wrong while the node's logs are bent: ${name}`, async () => {
      await contract.mine(3);
      await contract.emit(3);
      await contract.mine(45);
      proxy.bendAnswer = bend;
      start();
      await contract.emit(3);
      await contract.mine(1);
      await new Promise((wake) => setTimeout(wake, 250));
      const { rows } = await pool.query<{ count: string }>('SELECT count(*) FROM chain_events');
      const harmless = name === 'duplicate' || name === 'reverse';
      if (!harmless) assert.equal(rows[0]?.count, '0');
      proxy.bendAnswer = undefined;
      await converge();
    });
  }

  it('goes on at another node when the first one lags, cuts its answers, asks to slow down or hangs', async () => {
    start({ rpcUrls: [proxy.url, node.rpcUrl] });
    await contract.mine(5);
    for (const fault of [
      { kind: 'cut' },
      { kind: 'status', status: 429, retryAfterSeconds: 1 },
      { kind: 'hang' },
      { kind: 'reset' },
    ] as const) {
      proxy.breakRequest = () => fault;
      await contract.emit(2);
      await converge();
    }
    proxy.breakRequest = undefined;
    proxy.bendAnswer = LOG_FAULTS.empty;
    await contract.emit(2);
    await converge();
  });

  it('passes over a node that lags behind the final block, and tells which', async () => {
    const indexer = start({ rpcUrls: [proxy.url, node.rpcUrl] });
    await contract.mine(12);
    await contract.emit(2);
    await converge();
    const [early] = await contract.rpc.batch([{ method: 'eth_getBlockByNumber', params: ['0x3', false] }]);
    proxy.bendAnswer = (call, answer) =>
      call.method === 'eth_getBlockByNumber' && call.params[0] === 'latest' ? { result: early } : answer;
    await contract.emit(3);
    await converge();
    // On a busy machine the honest node may have been asked first.
    const says = /is at block 3, below the final block/;
    await waitFor(async () => says.test(indexer.status().nodes[0]?.lastError ?? ''));
    assert.equal(indexer.status().nodes[1]?.lastError, undefined);
  });

  it('leaves a node whose head stands still while another goes on', async () => {
    const indexer = start({ rpcUrls: [proxy.url, node.rpcUrl], frozenAfterMs: 150 });
    await contract.mine(12);
    await contract.emit(2);
    await converge();
    await freeze();
    await contract.emit(3);
    await contract.mine(2);
    await converge();
    const [frozen, honest] = indexer.status().nodes;
    assert.deepEqual([frozen?.frozen, frozen?.failures, honest?.frozen], [true, 0, false]);
    // It has no block to contradict with either: the chain becomes final without it.
    const before = indexer.status().final?.number ?? 0;
    await contract.mine(8);
    await waitFor(async () => (indexer.status().final?.number ?? 0) >= before + 8);
  });

  /** Everything about the present head and below stays as it is at the proxy, and nothing comes on top. */
  async function freeze(): Promise<void> {
    const [head] = await contract.rpc.batch([{ method: 'eth_getBlockByNumber', params: ['latest', false] }]);
    const height = Number((head as { number: string }).number);
    proxy.bendAnswer = ({ method, params }, answer) => {
      if (method === 'eth_blockNumber') return { result: `0x${height.toString(16)}` };
      if (method !== 'eth_getBlockByNumber') return answer;
      if (params[0] === 'latest') return { result: head };
      return Number(params[0]) > height ? { result: null } : answer;
    };
  }

  for (const behind of [8, 60]) {
    it(`does not call final what one node alone has put on top of the chain, ${behind} blocks`, async () => {
      const honest = await startRpcProxy(node.rpcUrl);
      try {
        const indexer = start({ rpcUrls: [proxy.url, honest.url], frozenAfterMs: 60_000 });
        await contract.mine(6);
        await waitFor(async () => indexer.status().tip?.number === indexer.status().head && indexer.status().head > 6);
        const head = indexer.status().head;
        // To the honest node these blocks do not exist: the other one has made them up, events and all.
        honest.bendAnswer = ({ method, params }, answer) => {
          if (method !== 'eth_getBlockByNumber' || params[0] === 'latest') return answer;
          return Number(params[0]) > head ? { result: null } : answer;
        };
        await contract.emit(1);
        await contract.mine(behind);
        await waitFor(async () => /missing at/.test(indexer.status().lastError ?? ''));
        assert.ok((indexer.status().final?.number ?? 0) <= head);
        honest.bendAnswer = undefined;
        await converge();
      } finally {
        await honest.stop();
      }
    });
  }

  for (const [what, bend] of Object.entries(NONSENSE)) {
    it(`goes on after a node answered with ${what}`, async () => {
      const indexer = start();
      await contract.emit(2);
      await contract.mine(1);
      await converge();
      proxy.bendAnswer = bend;
      await contract.emit(2);
      await waitFor(async () => indexer.status().lastError !== undefined);
      assert.notEqual(indexer.status().state, 'halted');
      proxy.bendAnswer = undefined;
      await converge();
    });
  }

  it('does not call a block final that another node contradicts', async () => {
    const [liar, honest] = [proxy, node.rpcUrl];
    const indexer = start({ rpcUrls: [honest, liar.url], finality: { kind: 'confirmations', count: 2 } });
    await contract.mine(3);
    // At rest: nothing that was mined before the lie may become final during it.
    await waitFor(async () => {
      const { head, final } = indexer.status();
      return final !== undefined && final.number === head - 2;
    });
    const finalBefore = indexer.status().final?.number ?? 0;
    liar.bendAnswer = (call, answer) =>
      call.method === 'eth_getBlockByNumber' && typeof answer.result === 'object' && call.params[0] !== '0x0'
        ? { result: { ...answer.result, hash: `0x${'ab'.repeat(32)}` } }
        : answer;
    await contract.mine(4);
    await new Promise((wake) => setTimeout(wake, 300));
    assert.ok((indexer.status().final?.number ?? 0) <= finalBefore + 2);
    liar.bendAnswer = undefined;
    await waitFor(async () => (indexer.status().final?.number ?? 0) > finalBefore + 2);
  });

  it('reads again from the last event when an earlier block was stored without its events', async () => {
    start();
    await contract.mine(3);
    await contract.emit(2);
    await converge();
    // The node leaves out a block's events and lies about the vault's state as well, so that nothing shows at first.
    const stated = `0x${'2'.padStart(64, '0')}`;
    proxy.bendAnswer = (call, answer) =>
      call.method === 'eth_call' ? { result: stated } : LOG_FAULTS.empty(call, answer);
    await contract.emit(1);
    await contract.mine(6);
    await waitFor(async () => {
      const { rows } = await pool.query<{ tip: string }>('SELECT max(number) AS tip FROM chain_blocks WHERE final');
      return Number(rows[0]?.tip) > contract.deploymentBlock + 6;
    });
    proxy.bendAnswer = undefined;
    await contract.emit(1);
    await contract.mine(6);
    await converge();
  });

  it('opens an incident while no node answers, and closes it when one does', async () => {
    const indexer = start({ stalledAfterMs: 100 });
    await converge();
    proxy.breakRequest = () => ({ kind: 'reset' });
    await waitFor(async () => indexer.status().state === 'stalled');
    const stalled = async (): Promise<boolean[]> => {
      const { rows } = await pool.query<{ open: boolean }>(
        "SELECT closed_at IS NULL AS open FROM incidents WHERE kind = 'chain_stalled'",
      );
      return rows.map(({ open }) => open);
    };
    // The state changes first, the row follows.
    await waitFor(async () => (await stalled()).length > 0);
    assert.deepEqual(await stalled(), [true]);
    proxy.breakRequest = undefined;
    await contract.emit(1);
    await converge();
    await waitFor(async () => (await stalled())[0] === false);
    assert.deepEqual(await stalled(), [false]);
  });

  it('closes the incident that an earlier run left open', async () => {
    const first = start({ stalledAfterMs: 100 });
    await converge();
    proxy.breakRequest = () => ({ kind: 'reset' });
    const openOnes = async (): Promise<number> => {
      const { rows } = await pool.query(
        "SELECT 1 FROM incidents WHERE kind = 'chain_stalled' AND closed_at IS NULL LIMIT 2",
      );
      return rows.length;
    };
    await waitFor(async () => (await openOnes()) === 1);
    await stop(first);
    proxy.breakRequest = undefined;
    start();
    await waitFor(async () => (await openOnes()) === 0);
  });

  it('looks at once when the node announces a block over its WebSocket', async () => {
    const indexer = start({ rpcUrls: [node.rpcUrl], pollIntervalMs: 600_000 });
    await waitFor(async () => {
      // The first look may come before the subscription; every later one comes from an announcement.
      await contract.mine(1);
      return indexer.status().state === 'following';
    });
    for (let block = 0; block < 3; block++) await contract.emit(2);
    await waitFor(async () => indexer.status().lastEventSequence === 6);
    await reorg(contract, 1, 'conflicting');
    await contract.mine(1);
    await converge();
  });

  it('goes on after the database ended its connections', async () => {
    pool.on('error', () => undefined);
    start();
    await contract.emit(1);
    await converge();
    for (let round = 0; round < 3; round++) {
      const other = new pg.Client({ connectionString: database.url });
      await other.connect();
      await other.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
      );
      await other.end();
      await contract.emit(1);
    }
    await converge();
  });

  it('lets two indexers run against one database', async () => {
    const both = [start(), start()];
    for (let block = 0; block < 6; block++) await contract.emit(2);
    await reorg(contract, 2, 'conflicting');
    await converge();
    // One alone may have brought the rows this far.
    await waitFor(async () => both.every((indexer) => indexer.status().state === 'following'));
  });

  it('halves its ranges when the node finds them too large', async () => {
    for (let block = 0; block < 20; block++) await contract.emit(1);
    await contract.mine(200);
    proxy.bendAnswer = (call, answer) => {
      const filter = call.params[0] as { fromBlock?: string; toBlock?: string };
      const blocks = Number(filter?.toBlock) - Number(filter?.fromBlock);
      return call.method === 'eth_getLogs' && blocks > 30
        ? { error: { code: -32005, message: 'query returned more than 10000 results' } }
        : answer;
    };
    start();
    await converge();
  });
});

async function waitFor(condition: () => Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) assert.fail('the condition did not come true in time');
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** Replaces the last `depth` blocks by empty ones, or by ones that hold another transaction with the nonce of what they replace. */
async function reorg(contract: NumberedContract, depth: number, replacement: 'empty' | 'conflicting'): Promise<void> {
  const [from] = (await contract.rpc.request('eth_accounts', [])) as [string];
  const gas = '0x40000';
  const other = { from, to: contract.address, data: `0x${'02'.repeat(5)}`, gas };
  await contract.rpc.request('anvil_reorg', [depth, replacement === 'empty' ? [] : [[other, 0]]]);
}

async function dump(pool: pg.Pool): Promise<{ events: unknown[]; blocks: unknown[] }> {
  const events = await pool.query(
    "SELECT event_sequence, block_number, encode(tx_hash, 'hex') AS tx, log_index, kind, payload FROM chain_events ORDER BY event_sequence",
  );
  const blocks = await pool.query(
    "SELECT number, encode(hash, 'hex') AS hash, last_event_sequence, final FROM chain_blocks ORDER BY number",
  );
  return { events: events.rows, blocks: blocks.rows };
}

/** What differs between the rows and the node's canonical chain; undefined when nothing does. */
async function compareWithNode(
  pool: pg.Pool,
  contract: NumberedContract,
  confirmations = 4,
): Promise<string | undefined> {
  const [head, logs] = await contract.rpc.batch([
    { method: 'eth_getBlockByNumber', params: ['latest', false] },
    { method: 'eth_getLogs', params: [{ address: contract.address, fromBlock: '0x0', toBlock: 'latest' }] },
  ]);
  const { number, hash } = head as { number: string; hash: string };
  const stored = await dump(pool);
  const tip = stored.blocks.at(-1) as { hash: string; number: string } | undefined;
  if (`0x${tip?.hash}` !== hash) return `tip is ${tip?.number} ${tip?.hash}, the head ${Number(number)} ${hash}`;
  const finals = (stored.blocks as { number: string; final: boolean }[]).filter((block) => block.final);
  const lastFinal = Number(finals.at(-1)?.number ?? contract.deploymentBlock - 1);
  const dueFinal = Math.max(Number(number) - confirmations, contract.deploymentBlock - 1);
  if (lastFinal !== dueFinal) return `final is ${lastFinal}, the head ${Number(number)}`;
  const expected = (logs as { data: string; transactionHash: string; blockNumber: string }[]).map(
    (log) => `${Number(log.data)} ${Number(log.blockNumber)} ${log.transactionHash}`,
  );
  const got = (stored.events as { event_sequence: string; block_number: string; tx: string }[]).map(
    (row) => `${row.event_sequence} ${row.block_number} 0x${row.tx}`,
  );
  return expected.join() === got.join() ? undefined : `events are ${got.join()}, on chain ${expected.join()}`;
}
