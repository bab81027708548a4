import assert from 'node:assert/strict';
import pg from 'pg';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { createVaultBench, type VaultBench } from './vault-bench.ts';

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
});
