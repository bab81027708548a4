import assert from 'node:assert/strict';
import { STEPS, simulateSeed } from '../../scripts/simulation/simulate-seed.ts';

const SEEDS = 50;

describe('simulated lives of the exchange', function () {
  this.timeout(180_000);

  it(`keep every invariant, with everything in them (seeds 1 to ${SEEDS})`, async () => {
    const seen = new Set<string>();
    let takeovers = 0;
    let refusedRows = 0;
    let skippedTrades = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const life = await simulateSeed(seed, STEPS).catch((cause: unknown) => {
        throw new Error(`seed ${seed}: npm run simulate -- --seed ${seed}`, { cause });
      });
      for (const kind of life.events.keys()) seen.add(kind.split(' ')[0] ?? kind);
      takeovers += life.takeovers;
      refusedRows += life.refusedRows;
      skippedTrades += life.skippedTrades;
    }
    assert.ok(takeovers > SEEDS && refusedRows > 0 && skippedTrades > 0);
    const expected = [
      'trade',
      'batchFinal',
      'withdrawalDone',
      'exitChanged',
      'orderTriggered',
      'orderReduced',
      'withdrawalsHalted',
      'proceedsFrozen',
      'gatewayLease',
      'volumeCounted',
      'marketParametersChanged',
    ];
    assert.deepEqual(
      expected.filter((kind) => !seen.has(kind)),
      [],
    );
  });

  // Seeds that found something, with as many steps as it took; what they found is said beside them.
  const FOUND: readonly (readonly [seed: number, steps: number, what: string])[] = [
    [230, 120, 'a damaged index in a snapshot made recovery ask for all memory there is'],
  ];
  for (const [seed, steps, what] of FOUND)
    it(`hold for seed ${seed}: ${what}`, async () => {
      await simulateSeed(seed, steps);
    });

  it('are the same again from the same seed', async () => {
    const [once, again] = [await simulateSeed(7, STEPS), await simulateSeed(7, STEPS)];
    assert.deepEqual(again, once);
    assert.notEqual((await simulateSeed(8, STEPS)).journalHash, once.journalHash);
  });

  it('are the same on a machine that is so slow that every look at its clock is 5 ms later', async () => {
    const once = await simulateSeed(7, STEPS);
    const { now } = performance;
    let slowMs = 0;
    performance.now = () => (slowMs += 5);
    const again = await simulateSeed(7, STEPS).finally(() => {
      performance.now = now;
    });
    assert.deepEqual(again, once);
  });
});
