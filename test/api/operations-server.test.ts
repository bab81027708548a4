/** Liveness, readiness and metrics. */
import assert from 'node:assert/strict';
import { pino } from 'pino';
import { Counter, Registry } from 'prom-client';
import { createOperationsServer } from '../../src/api/operations-server.ts';

describe('the operations server', () => {
  const registry = new Registry();
  new Counter({ name: 'tallystick_test_total', help: 'A count.', registers: [registry] }).inc();
  const logger = pino({ level: 'silent' });

  it('is ready when every check passes', async () => {
    const server = createOperationsServer({ registry, logger, checks: { database: async () => undefined } });
    const answer = await server.inject('/readyz');
    assert.equal(answer.statusCode, 200);
    assert.deepEqual(answer.json(), { status: 'ready', checks: { database: { ok: true } } });
    await server.close();
  });

  it('names the checks that fail or do not answer, and stays alive', async () => {
    const server = createOperationsServer({
      registry,
      logger,
      checkTimeoutMs: 20,
      checks: {
        database: async () => undefined,
        rpc: async () => Promise.reject(new Error('connection refused')),
        redis: () => new Promise(() => undefined),
      },
    });
    const answer = await server.inject('/readyz');
    assert.equal(answer.statusCode, 503);
    assert.deepEqual(answer.json().checks, {
      database: { ok: true },
      rpc: { ok: false, problem: 'connection refused' },
      redis: { ok: false, problem: 'no answer within 20 ms' },
    });
    assert.equal((await server.inject('/livez')).statusCode, 200);
    await server.close();
  });

  it('shows the metrics', async () => {
    const server = createOperationsServer({ registry, logger, checks: {} });
    assert.match((await server.inject('/metrics')).body, /tallystick_test_total 1/);
    await server.close();
  });
});
