import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { planKills, planSteps } from '../../scripts/demo/plan.ts';
import { createRandom } from '../../scripts/demo/random.ts';

const DEMO = fileURLToPath(new URL('../../scripts/demo.ts', import.meta.url));

type Outcome = { readonly code: number | null; readonly lastLine: string; readonly errors: string };

function runDemo(...options: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [DEMO, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ code, lastLine: output.trimEnd().split('\n').at(-1) ?? '', errors }));
  });
}

describe('demo', () => {
  it('keeps every promise, with the services killed on the way or not, and trades the same for the same seed', async function () {
    this.timeout(400_000);
    const options = ['--accounts', '5', '--orders', '150', '--seed', '11', '--json'];
    const calm = await runDemo(...options);
    assert.equal(calm.code, 0, calm.errors);
    const killed = await runDemo(...options, '--kills', '2');
    assert.equal(killed.code, 0, killed.errors);
    const [first, second] = [JSON.parse(calm.lastLine), JSON.parse(killed.lastLine)];
    for (const summary of [first, second]) {
      const { ok, drift, ackedLost, settledTwice, stateHashMatches, exits, audit, accountsCompared } = summary;
      assert.deepEqual(
        { ok, drift, ackedLost, settledTwice, stateHashMatches, exits, audit, accountsCompared },
        {
          ok: true,
          drift: 0,
          ackedLost: 0,
          settledTwice: 0,
          stateHashMatches: true,
          exits: 1,
          audit: 'ok',
          accountsCompared: 5,
        },
      );
      assert.ok(summary.trades > 20 && summary.fillsSettled === 2 * summary.trades, JSON.stringify(summary));
      assert.ok(summary.ordersRejected >= 1, 'at least one order was made invalid');
    }
    assert.equal(second.kills, 2);
    assert.equal(second.tradesHash, first.tradesHash);
  });

  it('names the option that is wrong and exits with 2', async () => {
    for (const [option, value] of [
      ['--orders', '-5'],
      ['--accounts', '1'],
      ['--seed', '1e3'],
      ['--kills', 'many'],
    ] as const) {
      const { code, errors } = await runDemo(option, value);
      assert.equal(code, 2);
      assert.match(errors, new RegExp(`${option}.*whole number from`, 's'));
    }
  });

  it('plans the same steps for the same seed, others for another, with as many orders as asked for', () => {
    const plan = (seed: number) => planSteps(createRandom(seed), { accounts: 9, orders: 400, midTicks: 250_000 });
    assert.deepEqual(plan(5), plan(5));
    assert.notDeepEqual(plan(5), plan(6));
    assert.equal(plan(5).filter(({ kind }) => kind !== 'cancel').length, 400);
    const kills = planKills(createRandom(5), 1_000, 7);
    assert.equal(kills.size, 7);
    assert.ok([...kills].every((step) => step > 0 && step < 1_000));
  });
});
