import assert from 'node:assert/strict';
import type pg from 'pg';
import { createRpcPool } from '../../src/chain/rpc-pool.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Address, Hex, TimestampMs } from '../../src/domain/units.ts';
import { createInProcessTransport } from '../../src/messaging/in-process.ts';
import { readSettings } from '../../src/services/config.ts';
import { type EngineService, startEngineService } from '../../src/services/engine-service.ts';
import { createLogger } from '../../src/services/logger.ts';
import { createLocalEngineSigner } from '../../src/settlement/signers.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { useTestDatabase } from '../support/database.ts';

const VAULT: Address = `0x${'0b'.repeat(20)}`;
const ENGINE_KEY: Hex = `0x${'42'.repeat(32)}`;
const NO_NODE = 'http://127.0.0.1:1';

describe('the engine service', () => {
  const database = useTestDatabase();
  let pool: pg.Pool;

  before(() => {
    pool = openDatabase({ url: database.url(), applicationName: 'engine service test', connectionsMax: 4 });
  });
  after(() => pool.end());

  function start(): Promise<EngineService> {
    const logger = createLogger('fatal', 'test');
    return startEngineService({
      context: {
        settings: readSettings({}),
        logger,
        databaseUrl: database.url(),
        rpcUrls: [NO_NODE],
        rpc: createRpcPool([NO_NODE]),
        chain: {
          chainId: 31_337,
          vault: VAULT,
          domain: eip712Domain(31_337, VAULT),
          deployedAtMs: (Date.now() - 3_600_000) as TimestampMs,
          deploymentBlock: 1,
          engine: undefined,
          exitDelaySeconds: 86_400,
          graceSeconds: 3_600,
        },
        finality: { kind: 'confirmations', count: 1 },
        owner: `engine service test ${process.pid}`,
        warn: () => undefined,
        openPool: () => pool,
        close: async () => undefined,
      },
      pool,
      transport: createInProcessTransport({ onProblem: () => undefined }),
      engineSigner: createLocalEngineSigner(ENGINE_KEY),
    });
  }

  it('goes on where it stopped, and halts when the journal has lost what projections or batches have seen', async () => {
    const first = await start();
    await first.submitOperator({ kind: 'haltWithdrawals', reason: 'test' });
    const last = first.leading.engine.lastSequence;
    await first.stop();
    await pool.query('UPDATE projection_cursor SET journal_sequence = $1', [last]);
    const second = await start();
    assert.ok(second.leading.engine.lastSequence > last);
    await second.stop();

    // As after a failover to a replica that was behind: the rows since are gone, and no snapshot tells of them.
    await pool.query('TRUNCATE snapshots CASCADE');
    await pool.query('DELETE FROM journal WHERE last_sequence >= $1', [last]);
    await assert.rejects(start(), { code: 'JOURNAL_CORRUPT' });
  });
});
