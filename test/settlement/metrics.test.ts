import assert from 'node:assert/strict';
import pg from 'pg';
import { Registry } from 'prom-client';
import { observeSettlement } from '../../src/settlement/metrics.ts';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { createVaultBench, type VaultBench } from './vault-bench.ts';

describe('metrics of settlement', () => {
  let pool: pg.Pool;
  let bench: VaultBench;
  // Before the database goes.
  after(async () => {
    await pool.end();
  });
  const database = useTestDatabase();
  const local = useLocalNode({ flags: ['--no-mining'] });

  before(async () => {
    pool = new pg.Pool({ connectionString: database.url() });
    bench = await createVaultBench(local.node().rpcUrl);
  });

  it('tell what waits and why, what was signed, what the wallet holds, and what a trade cost', async () => {
    const registry = new Registry();
    const submitter = bench.createSubmitter(pool);
    observeSettlement(registry, submitter, pool);
    const figures = async (): Promise<Map<string, number>> =>
      new Map(
        (await registry.metrics())
          .split('\n')
          .filter((line) => line.startsWith('tallystick_'))
          .map((line): [string, number] => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
      );
    const before = await figures();
    assert.equal(before.get('tallystick_settlement_working'), 0);
    assert.equal(before.get('tallystick_settlement_waiting{reason="gas_wallet_empty"}'), 0);

    await bench.publish(pool, 1, 2);
    const wealth = await bench.rpc('eth_getBalance', submitter.status().sender, 'latest');
    await bench.rpc('anvil_setBalance', submitter.status().sender, '0x0');
    await submitter.turn();
    const poor = await figures();
    assert.equal(poor.get('tallystick_settlement_working'), 1);
    assert.equal(poor.get('tallystick_settlement_pending_batches'), 2);
    assert.equal(poor.get('tallystick_settlement_waiting{reason="gas_wallet_empty"}'), 1);
    assert.equal(poor.get('tallystick_incidents_open{kind="gas_wallet_empty"}'), 1);
    assert.equal(poor.get('tallystick_settlement_gas_wallet_wei'), 0);

    await bench.rpc('anvil_setBalance', submitter.status().sender, wealth);
    for (let turn = 0; turn < 30 && submitter.status().lastSettledBatchId < 2; turn++) {
      await submitter.turn();
      await bench.mine();
    }
    await submitter.turn();
    const settled = await figures();
    assert.equal(settled.get('tallystick_settlement_pending_batches'), 0);
    assert.equal(settled.get('tallystick_settlement_last_settled_batch'), 2);
    assert.equal(settled.get('tallystick_settlement_transactions_signed_total'), 2);
    assert.equal(settled.get('tallystick_incidents_open{kind="gas_wallet_empty"}'), undefined);
    assert.ok((settled.get('tallystick_settlement_gas_wallet_wei') ?? 0) > 0);
    assert.ok((settled.get('tallystick_settlement_gas_per_trade') ?? 0) > 20_000);
    assert.ok((settled.get('tallystick_settlement_base_fee_wei') ?? 0) > 0);
  });
});
