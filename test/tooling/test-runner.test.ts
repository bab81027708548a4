import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSolidityCounts, runMocha, summaryLine, withExitCode } from '../../scripts/test.ts';
import { useTemporaryDirectory } from '../support/temporary-directory.ts';

const REPORTER = fileURLToPath(new URL('../../scripts/mocha-count-reporter.cjs', import.meta.url));

describe('the sum of all test runners', () => {
  const directory = useTemporaryDirectory();

  const runSource = async (source: string): ReturnType<typeof runMocha> => {
    const file = join(directory.path(), `${Math.random()}.cjs`);
    await writeFile(file, source);
    return runMocha(['mocha', '--no-config', '--reporter', REPORTER, file], { quiet: true });
  };
  const countsOf = async (source: string): Promise<unknown> => {
    const { passed, failed, skipped } = await runSource(source);
    return { passed, failed, skipped };
  };

  it('counts what mocha ran', async () => {
    const source = `it('passes', () => {}); it('too', () => {}); it.skip('waits', () => {}); it('fails', () => { throw new Error('as it should'); });`;
    assert.deepEqual(await countsOf(source), { passed: 2, failed: 1, skipped: 1 });
  });

  it('counts a file that does not load, a process that ends early and a failing hook as failures', async () => {
    assert.deepEqual(await countsOf(`throw new Error('as it should');`), { passed: 0, failed: 1, skipped: 0 });
    assert.deepEqual(await countsOf(`it('ends', () => process.exit(0));`), { passed: 0, failed: 1, skipped: 0 });
    const hook = `before(() => { throw new Error('as it should'); }); it('never runs', () => {});`;
    assert.deepEqual(await countsOf(hook), { passed: 0, failed: 1, skipped: 0 });
  });

  it('names what failed, with the first line of why', async () => {
    const source = `describe('a part', () => it('fails', () => { throw new Error('as it should\\nat length'); }));`;
    assert.deepEqual((await runSource(source)).failures, ['a part fails: as it should']);
  });

  it('counts a runner that failed without a failed test as a failure', () => {
    assert.deepEqual(withExitCode({ passed: 3, failed: 0, skipped: 0 }, 1), { passed: 3, failed: 1, skipped: 0 });
    assert.deepEqual(withExitCode({ passed: 3, failed: 2, skipped: 0 }, 2), { passed: 3, failed: 2, skipped: 0 });
    assert.deepEqual(withExitCode({ passed: 3, failed: 0, skipped: 0 }, 0), { passed: 3, failed: 0, skipped: 0 });
  });

  it('reads the counts of the Solidity tests, colours or not, and refuses output without any', () => {
    assert.deepEqual(parseSolidityCounts('Running\n  ✔ test\n\n\n  12 passing\n'), {
      passed: 12,
      failed: 0,
      skipped: 0,
    });
    const coloured = '\u001b[32m  1 passing\u001b[0m\n\u001b[31m  2 failing\u001b[0m\n  3 skipped\n';
    assert.deepEqual(parseSolidityCounts(coloured), { passed: 1, failed: 2, skipped: 3 });
    assert.throws(() => parseSolidityCounts('Compilation failed'), /neither/);
  });

  it('is a line that names skipped tests only where there are any', () => {
    assert.equal(summaryLine({ passed: 10, failed: 0, skipped: 0 }), '10 passed, 0 failed');
    assert.equal(summaryLine({ passed: 10, failed: 1, skipped: 2 }), '10 passed, 1 failed, 2 skipped');
  });
});
