/**
 * The vault against a plain TypeScript model of its specification: random batches and random bytes, all correctly signed by the engine, and
 * everything that users and governance do between them. Ten thousand and more by `npm run test:differential -- --batches 10000`.
 */
import assert from 'node:assert/strict';
import { CASES } from './cases.ts';
import { describeFigures, runDifferential, runScenario } from './run.ts';

const SEED = Number(process.env['SEED'] ?? 20_260);
const BATCHES = Number(process.env['BATCHES'] ?? 500);

describe(`the vault and the model of its specification (SEED=${SEED}, BATCHES=${BATCHES})`, () => {
  it('give the same balances, lanes, skips, outcomes and events, batch by batch', async function () {
    this.timeout(60_000 + 500 * BATCHES);
    const figures = await runDifferential(SEED, BATCHES);
    console.log(`      ${describeFigures(figures)}`);
    assert.ok(figures.executed > BATCHES, `only ${figures.executed} fills were executed in ${BATCHES} batches`);
    assert.ok(figures.reasons.size >= (BATCHES >= 500 ? 22 : 12), `only ${figures.reasons.size} reasons were seen`);
  });

  for (const { seed, steps, why } of CASES) {
    it(`agree on seed ${seed}: ${why}`, async function () {
      this.timeout(60_000);
      await runScenario(seed, steps);
    });
  }
});
