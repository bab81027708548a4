import assert from 'node:assert/strict';
import { faultTable } from '../../scripts/faults/fault-table.ts';

describe('the whole exchange under faults', function () {
  this.timeout(900_000);

  it('loses nothing, does nothing twice and does not drift under ten random combinations', async () => {
    const lines: string[] = [];
    const { faults, ok } = await faultTable({ seeds: 10, seed: 1, only: [], say: (line) => lines.push(line) });
    assert.equal(faults.length, 10);
    assert.ok(faults.every(({ injections }) => injections > 0) || !ok);
    assert.ok(ok, lines.join('\n'));
  });
});
