import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createWalletClient, http } from 'viem';
import { mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import { LOCAL_MNEMONIC } from '../../src/services/local-node.ts';
import { readBatchToSettle } from '../../src/settlement/outbox.ts';
import { encodeSettle } from '../../src/settlement/settle-call.ts';
import { createLocalTransactionSigner } from '../../src/settlement/signers.ts';
import type { Submitter } from '../../src/settlement/submitter.ts';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { type RpcProxy, startRpcProxy } from '../support/rpc-proxy.ts';
import { createVaultBench, rpcPool, SUBMITTER_KEY, type VaultBench } from './vault-bench.ts';

describe('the submitter on a real node', () => {
  let pool: pg.Pool;
  let bench: VaultBench;
  let snapshot: unknown;
  after(() => pool.end());
  const database = useTestDatabase();
  const local = useLocalNode({ flags: ['--no-mining'] });

  before(async () => {
    pool = new pg.Pool({ connectionString: database.url() });
    bench = await createVaultBench(local.node().rpcUrl);
  });
  beforeEach(async () => {
    snapshot = await bench.rpc('evm_snapshot');
    await pool.query(
      "TRUNCATE journal, batches, batch_transactions, settlements, incidents; UPDATE submitter_lease SET lease_until = 'epoch'",
    );
  });
  afterEach(async () => {
    await bench.rpc('evm_revert', snapshot);
    await bench.rpc('anvil_dropAllTransactions');
  });

  const states = async (): Promise<string[]> => {
    const { rows } = await pool.query<{ state: string }>('SELECT state FROM settlements ORDER BY batch_id');
    return rows.map((row) => row.state);
  };

  it('brings batches from sealed to final', async () => {
    await bench.publish(pool, 1, 2);
    const submitter = bench.createSubmitter(pool);
    await submitter.turn();
    assert.deepEqual(await states(), ['submitted', 'submitted']);
    assert.equal(submitter.status().pending, 2);
    await bench.mine();
    assert.equal(await bench.lastBatchId(), 2);
    await submitter.turn();
    assert.deepEqual(await states(), ['included', 'included']);
    await bench.mine(3);
    await submitter.turn();
    assert.deepEqual(await states(), ['final', 'final']);
    assert.equal(submitter.status().transactionsSigned, 2);
    await submitter.stop();
  });

  const transactions = async () => {
    const { rows } = await pool.query<{
      tx_hash: Buffer;
      batch_id: string;
      tx_nonce: string;
      max_fee_per_gas: string;
      send_count: number;
    }>(
      'SELECT tx_hash, batch_id, tx_nonce, max_fee_per_gas, send_count FROM batch_transactions ORDER BY created_at, tx_nonce',
    );
    return rows.map((row) => ({
      txHash: `0x${row.tx_hash.toString('hex')}`,
      batchId: Number(row.batch_id),
      txNonce: Number(row.tx_nonce),
      maxFee: BigInt(row.max_fee_per_gas),
      sends: row.send_count,
    }));
  };
  const openIncidents = async (): Promise<string[]> => {
    const { rows } = await pool.query<{ kind: string }>('SELECT kind FROM incidents WHERE closed_at IS NULL');
    return rows.map((row) => row.kind);
  };

  /** Turns and blocks until everything is final; each batch must have been settled by exactly one event. */
  async function settleAll(submitter: Submitter, batches: number): Promise<void> {
    for (let round = 0; round < 12; round++) {
      await submitter.turn();
      await bench.mine();
      const now = await states();
      if (now.length === batches && now.every((state) => state === 'final')) break;
    }
    assert.deepEqual(
      await states(),
      Array.from({ length: batches }, () => 'final'),
    );
    assert.equal(await bench.lastBatchId(), batches);
  }

  /** Runs `work` against a proxy in front of the node. */
  async function throughProxy(work: (proxy: RpcProxy, submitter: Submitter) => Promise<void>): Promise<void> {
    const proxy = await startRpcProxy(bench.rpcUrl);
    try {
      await work(proxy, bench.createSubmitter(pool, { rpc: rpcPool(proxy.url) }));
    } finally {
      await proxy.stop();
    }
  }
  const isSend = (calls: readonly { method: string }[]): boolean =>
    calls.some(({ method }) => method === 'eth_sendRawTransaction');
  const leaseEnds = (): Promise<void> => sleep(350);

  it('sends the persisted bytes after it was killed between persisting and sending', async () => {
    await bench.publish(pool, 1, 1);
    await throughProxy(async (proxy, first) => {
      proxy.breakRequest = (calls) => (isSend(calls) ? { kind: 'reset' } : undefined);
      await first.turn();
    });
    const [persisted] = await transactions();
    assert.equal(await bench.rpc('eth_getTransactionByHash', persisted?.txHash), null);
    await leaseEnds();
    await settleAll(bench.createSubmitter(pool), 1);
    assert.deepEqual(
      (await transactions()).map(({ txHash }) => txHash),
      [persisted?.txHash],
    );
  });

  it('neither sends twice nor signs again when the reply to a send was lost', async () => {
    await bench.publish(pool, 1, 1);
    await throughProxy(async (proxy, first) => {
      proxy.breakRequest = (calls) => (isSend(calls) ? { kind: 'cut' } : undefined);
      await first.turn();
      assert.equal(first.status().waitingFor, 'rpc');
    });
    await leaseEnds();
    await settleAll(bench.createSubmitter(pool), 1);
    const [only, ...others] = await transactions();
    assert.deepEqual([only?.sends, others.length], [1, 0]);
  });

  it('settles once when it was killed after sending, before it recorded anything', async () => {
    await bench.publish(pool, 1, 1);
    await bench.createSubmitter(pool).turn();
    await pool.query('UPDATE batch_transactions SET last_sent_at = NULL, send_count = 0');
    await bench.mine();
    await leaseEnds();
    await settleAll(bench.createSubmitter(pool), 1);
    assert.equal((await transactions()).length, 1);
  });

  it('sends the same bytes again when the pool dropped them', async () => {
    await bench.publish(pool, 1, 1);
    const submitter = bench.createSubmitter(pool);
    await submitter.turn();
    const [sent] = await transactions();
    await bench.rpc('anvil_dropTransaction', sent?.txHash);
    await settleAll(submitter, 1);
    assert.deepEqual(
      (await transactions()).map(({ txHash, sends }) => [txHash, sends]),
      [[sent?.txHash, 2]],
    );
  });

  for (const depth of [1, 2]) {
    it(`goes back to submitted and settles again after a reorganisation ${depth} deep`, async () => {
      await bench.publish(pool, 1, 2);
      const submitter = bench.createSubmitter(pool);
      await submitter.turn();
      await bench.mine(depth);
      await submitter.turn();
      assert.deepEqual(await states(), ['included', 'included']);
      await bench.rpc('anvil_reorg', depth, []);
      assert.equal(await bench.lastBatchId(), 0);
      await submitter.turn();
      assert.deepEqual(await states(), ['submitted', 'submitted']);
      assert.equal(submitter.status().reorganisations, 2);
      await settleAll(submitter, 2);
      assert.equal((await transactions()).length, 2);
    });
  }

  it('replaces what is not mined by at least an eighth more, and settles once', async () => {
    await bench.publish(pool, 1, 1);
    const submitter = bench.createSubmitter(pool, { bumpAfterMs: 0 });
    await submitter.turn();
    await submitter.turn();
    const [first, second] = await transactions();
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(second.txNonce, first.txNonce);
    assert.ok(second.maxFee * 8n >= first.maxFee * 9n);
    await settleAll(submitter, 1);
    assert.ok(submitter.status().replacements >= 1);
  });

  it('takes the next nonces when a stranger has used the key', async () => {
    await bench.publish(pool, 1, 2);
    const submitter = bench.createSubmitter(pool);
    await submitter.turn();
    const before = await transactions();
    const stranger = createWalletClient({
      account: privateKeyToAccount(SUBMITTER_KEY),
      chain: foundry,
      transport: http(bench.rpcUrl),
    });
    await stranger.sendTransaction({
      to: stranger.account.address,
      value: 1n,
      nonce: before[0]?.txNonce as number,
      maxFeePerGas: 10n ** 12n,
      maxPriorityFeePerGas: 10n ** 11n,
    });
    await bench.mine();
    assert.equal(await bench.lastBatchId(), 0);
    await settleAll(submitter, 2);
    const nonces = (await transactions()).filter(({ batchId }) => batchId === 1).map(({ txNonce }) => txNonce);
    assert.ok(nonces.length > 1 && nonces[0] !== nonces.at(-1));
  });

  it('outbids a transaction of a stranger that holds its nonce in the pool', async () => {
    await bench.publish(pool, 1, 1);
    const stranger = createWalletClient({
      account: privateKeyToAccount(SUBMITTER_KEY),
      chain: foundry,
      transport: http(bench.rpcUrl),
    });
    const fees = { maxFeePerGas: 20n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n };
    const held = await stranger.sendTransaction({ to: stranger.account.address, ...fees });
    const submitter = bench.createSubmitter(pool);
    for (let turn = 0; turn < 12 && (await bench.rpc('eth_getTransactionByHash', held)) !== null; turn++)
      await submitter.turn();
    await bench.mine();
    assert.equal(await bench.rpc('eth_getTransactionByHash', held), null);
    assert.equal(await bench.lastBatchId(), 1);
    await settleAll(submitter, 1);
  });

  it("counts a stranger's settlement, and does not settle again", async () => {
    await bench.publish(pool, 1, 1);
    const account = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 5 });
    const stranger = createWalletClient({ account, chain: foundry, transport: http(bench.rpcUrl) });
    await stranger.sendTransaction({
      to: bench.vault,
      data: encodeSettle(await readBatchToSettle(pool, { batchId: 1, journalSequence: 3 })),
      gas: 1_000_000n,
    });
    await bench.mine();
    await settleAll(bench.createSubmitter(pool), 1);
    assert.deepEqual(await transactions(), []);
  });

  it('lets one of two submitters work, and the other take over when it is gone', async () => {
    await bench.publish(pool, 1, 1);
    const [first, second] = [bench.createSubmitter(pool), bench.createSubmitter(pool)];
    await first.turn();
    await second.turn();
    assert.deepEqual([first.status().state, second.status().state], ['working', 'standby']);
    await leaseEnds();
    await second.turn();
    await first.turn();
    assert.deepEqual([first.status().state, second.status().state], ['standby', 'working']);
    await settleAll(second, 1);
    assert.equal((await transactions()).length, 1);
  });

  it('refuses to persist, and so never sends, what a submitter signed after it was replaced', async () => {
    await bench.publish(pool, 1, 1);
    const local = createLocalTransactionSigner(SUBMITTER_KEY);
    const stalled = bench.createSubmitter(pool, {
      signer: {
        address: local.address,
        signTransaction: async (transaction) => {
          // While it signs, its lease ends and another takes over.
          await pool.query("UPDATE submitter_lease SET owner = 'another', token = token + 1");
          return local.signTransaction(transaction);
        },
      },
    });
    await stalled.turn();
    assert.equal(stalled.status().state, 'standby');
    assert.deepEqual([await transactions(), await states()], [[], []]);
  });

  it('waits with an alarm while the wallet is empty, and goes on by itself once it is filled', async () => {
    await bench.publish(pool, 1, 1);
    const balance = await bench.rpc('eth_getBalance', bench.submitter, 'latest');
    await bench.rpc('anvil_setBalance', bench.submitter, '0x1');
    await bench.mine();
    const submitter = bench.createSubmitter(pool);
    await submitter.turn();
    assert.equal(submitter.status().waitingFor, 'gas_wallet_empty');
    assert.deepEqual([await openIncidents(), await transactions()], [['gas_wallet_empty'], []]);
    await bench.rpc('anvil_setBalance', bench.submitter, balance);
    await bench.mine();
    await settleAll(submitter, 1);
    assert.deepEqual(await openIncidents(), []);
  });

  it('outbids a base fee that jumps fifty-fold and shuts out what was sent', async () => {
    await bench.publish(pool, 1, 1);
    const submitter = bench.createSubmitter(pool);
    await submitter.turn();
    const block = (await bench.rpc('eth_getBlockByNumber', 'latest', false)) as { baseFeePerGas: string };
    await bench.rpc('anvil_setNextBlockBaseFeePerGas', `0x${(BigInt(block.baseFeePerGas) * 50n).toString(16)}`);
    await bench.mine();
    assert.equal(await bench.lastBatchId(), 0);
    await settleAll(submitter, 1);
    assert.ok((await transactions()).length >= 2);
  });

  it('sends nothing that the vault would refuse, and raises an alarm', async () => {
    await bench.publish(pool, 1, 1);
    await pool.query(
      'UPDATE batches SET engine_signature = set_byte(engine_signature, 5, get_byte(engine_signature, 5) # 1)',
    );
    const submitter = bench.createSubmitter(pool);
    await submitter.turn();
    assert.equal(submitter.status().waitingFor, 'batch_refused');
    assert.deepEqual([await openIncidents(), await transactions()], [['batch_refused'], []]);
  });

  it('asks once for a batch to be cut that is too large for a block, and raises an alarm when that is refused', async () => {
    await bench.publish(pool, 1, 1);
    const head = (await bench.rpc('eth_getBlockByNumber', 'latest', false)) as { gasLimit: string };
    const submitter = bench.createSubmitter(pool);
    const asked = async () =>
      (await pool.query<{ command: object }>('SELECT command FROM operator_requests ORDER BY id')).rows.map(
        ({ command }) => ({ ...command, reason: undefined }),
      );
    await bench.rpc('evm_setBlockGasLimit', '0x124f8');
    try {
      await bench.mine();
      for (let turn = 0; turn < 3; turn++) await submitter.turn();
      assert.equal(submitter.status().waitingFor, 'batch_too_large');
      const limits = { tradesMax: 1, withdrawalsMax: 1, reason: undefined };
      assert.deepEqual(await asked(), [{ kind: 'resealBatch', batchId: 1, sealedAt: 3, ...limits }]);
      assert.deepEqual([await openIncidents(), await transactions()], [[], []]);
      await pool.query("UPDATE operator_requests SET handled_at = clock_timestamp(), outcome = 'refused: a test'");
      await submitter.turn();
      assert.equal(submitter.status().waitingFor, 'batch_refused');
      assert.deepEqual([await openIncidents(), (await asked()).length], [['batch_refused'], 1]);
      await pool.query("UPDATE operator_requests SET handled_at = handled_at - interval '11 minutes'");
      await submitter.turn();
      assert.equal((await asked()).length, 2, 'a refusal is doubted after a while');
    } finally {
      await bench.rpc('evm_setBlockGasLimit', head.gasLimit);
      await pool.query('TRUNCATE operator_requests');
    }
    await bench.mine();
    await settleAll(submitter, 1);
    assert.deepEqual(await openIncidents(), []);
  });

  it('takes no batch for too large because a node caps the gas of calls', async () => {
    await bench.publish(pool, 1, 1);
    await throughProxy(async (proxy, submitter) => {
      proxy.bendAnswer = ({ method, params }, answer) => {
        const { to } = (params[0] ?? {}) as { to?: string };
        if (method === 'eth_estimateGas')
          return { error: { code: -32_000, message: 'gas required exceeds allowance (100000)' } };
        return method === 'eth_call' && to === undefined ? { result: '0xb000' } : answer;
      };
      await submitter.turn();
      assert.equal(submitter.status().waitingFor, 'batch_refused');
    });
    const { rows } = await pool.query<{ summary: string }>('SELECT summary FROM incidents');
    assert.match(rows[0]?.summary ?? '', /NotEnoughGas\(\d+, 45056\); the node caps the gas of calls too low/);
    assert.equal((await pool.query('SELECT FROM operator_requests')).rowCount, 0);
  });

  it('does not need receipts', async () => {
    await bench.publish(pool, 1, 1);
    await throughProxy(async (proxy, submitter) => {
      proxy.bendAnswer = (call, answer) => (call.method === 'eth_getTransactionReceipt' ? { result: null } : answer);
      await settleAll(submitter, 1);
    });
    assert.equal((await transactions()).length, 1);
  });

  it('settles through a node that refuses wide ranges of logs', async () => {
    await bench.publish(pool, 1, 1);
    await throughProxy(async (proxy, submitter) => {
      proxy.bendAnswer = ({ method, params }, answer) => {
        const { fromBlock, toBlock } = (params[0] ?? {}) as { fromBlock?: string; toBlock?: string };
        return method === 'eth_getLogs' && Number(toBlock) - Number(fromBlock) >= 3
          ? { error: { code: -32_602, message: 'eth_getLogs is limited to a 3 range' } }
          : answer;
      };
      await settleAll(submitter, 1);
    });
  });

  it('asks another node when the first one shows an older head than before', async () => {
    await bench.publish(pool, 1, 1);
    const proxy = await startRpcProxy(bench.rpcUrl);
    try {
      const submitter = bench.createSubmitter(pool, { rpc: rpcPool(proxy.url, bench.rpcUrl) });
      await bench.mine(2);
      const old = await bench.rpc('eth_getBlockByNumber', 'latest', false);
      await bench.mine(3);
      await submitter.turn();
      proxy.bendAnswer = (call, answer) => (call.params[0] === 'latest' ? { result: old } : answer);
      await bench.mine();
      await submitter.turn();
      assert.deepEqual(await states(), ['included']);
    } finally {
      await proxy.stop();
    }
  });

  it('sends nothing when the signer returns another transaction than it was asked for', async () => {
    await bench.publish(pool, 1, 1);
    const local = createLocalTransactionSigner(SUBMITTER_KEY);
    const signer = {
      address: local.address,
      signTransaction: (transaction: Parameters<typeof local.signTransaction>[0]) =>
        local.signTransaction({ ...transaction, to: local.address }),
    };
    const submitter = bench.createSubmitter(pool, { signer });
    await submitter.turn();
    assert.equal(submitter.status().waitingFor, 'signer');
    assert.deepEqual(await transactions(), []);
  });

  it('halts with an alarm when a final batch vanishes', async () => {
    await bench.publish(pool, 1, 1);
    const submitter = bench.createSubmitter(pool, { finality: { kind: 'confirmations', count: 1 } });
    await submitter.turn();
    await bench.mine(3);
    await submitter.turn();
    assert.deepEqual(await states(), ['final']);
    await bench.rpc('anvil_reorg', 3, []);
    await submitter.turn();
    assert.equal(submitter.status().waitingFor, 'deep_reorg');
    assert.deepEqual(await openIncidents(), ['deep_reorg']);
  });

  it('works by itself between start and stop', async () => {
    await bench.publish(pool, 1, 1);
    const submitter = bench.createSubmitter(pool);
    submitter.start();
    while ((await states())[0] !== 'submitted') await sleep(20);
    await bench.mine(5);
    submitter.wake();
    while ((await states())[0] !== 'final') await sleep(20);
    await submitter.stop();
    assert.equal(submitter.status().state, 'stopped');
    const { rows } = await pool.query<{ free: boolean }>(
      'SELECT lease_until < clock_timestamp() AS free FROM submitter_lease',
    );
    assert.equal(rows[0]?.free, true);
  });
});
