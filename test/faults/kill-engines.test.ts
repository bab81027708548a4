import assert from 'node:assert/strict';
import { killEngines } from '../../scripts/faults/kill-engines.ts';
import { useTestDatabase } from '../support/database.ts';

describe('engine processes under blows', function () {
  this.timeout(240_000);
  const database = useTestDatabase();

  it('lose nothing and do nothing twice when killed, stopped, cut off, or stopped inside a transaction', async () => {
    const blows: string[] = [];
    const { kills, acknowledged, lost, double } = await killEngines({
      databaseUrl: database.url(),
      kills: 5,
      seed: 1,
      onBlow: ({ blow }) => blows.push(blow),
    });
    assert.equal(new Set(blows).size, 4);
    assert.ok(acknowledged > 200, `${acknowledged} acknowledged`);
    assert.deepEqual({ kills, lost, double }, { kills: 5, lost: 0, double: 0 });
  });
});
