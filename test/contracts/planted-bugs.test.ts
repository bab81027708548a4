/**
 * The tables of bugs that `npm run test:promises`, `npm run test:mutation` and `node scripts/plant-bugs.ts` plant: each text must still
 * stand where it is looked for.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PLANTED_BUGS as PROMISE_BUGS, TEST_OF_PROMISE } from '../../scripts/break-promises/planted-bugs.ts';
import { plant } from '../../scripts/break-promises.ts';
import { PLANTED_BUGS as CONTRACT_BUGS } from '../../scripts/mutate-contracts/planted-bugs.ts';
import { PROJECT_DIRECTORY } from '../../scripts/run-command.ts';
import { PLANTED_BUGS as SIMULATION_BUGS } from '../../scripts/simulation/planted-bugs.ts';

describe('planted bugs', () => {
  const bugs = [
    ...PROMISE_BUGS,
    ...SIMULATION_BUGS,
    ...CONTRACT_BUGS.map(({ name, file, from, to }) => ({
      what: name,
      file: `contracts/${file}`,
      text: from,
      replacement: to,
    })),
  ];

  it('can all be planted in the present sources, and taken out again', async () => {
    assert.ok(bugs.length >= 50, `${bugs.length} bugs`);
    const lost: string[] = [];
    for (const bug of bugs) {
      const sound = await readFile(join(PROJECT_DIRECTORY, bug.file), 'utf8');
      try {
        const planted = plant(sound, bug);
        assert.notEqual(planted, sound, bug.what);
        if (bug.replacement.length > 20) assert.equal(plant(planted, inverseOf(bug)), sound, bug.what);
      } catch (error) {
        lost.push(`${bug.what}: ${(error as Error).message}`);
      }
    }
    assert.deepEqual(lost, []);
  });

  it('break every promise, and each promise has its test', async () => {
    for (const [promise, file] of Object.entries(TEST_OF_PROMISE)) {
      const own = PROMISE_BUGS.filter((bug) => bug.promise === promise);
      assert.ok(own.length >= 2, `${promise} has ${own.length} planted bugs`);
      const source = await readFile(join(PROJECT_DIRECTORY, file), 'utf8');
      assert.ok(source.includes(`it('${promise}: `), `${file} has no test named after ${promise}`);
    }
  });
});

function inverseOf<Bug extends { readonly text: string; readonly replacement: string }>(bug: Bug): Bug {
  return { ...bug, text: bug.replacement, replacement: bug.text };
}
