/**
 * `npm test`: sets up what tests need, runs every check and every test runner, and ends with a line of its own that sums them up:
 * `N passed, N failed`, with `, N skipped` where tests were skipped. Nothing is taken for passed: a runner that crashes, hangs or reports
 * no counts is a failure.
 */
import { globSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { runChecks } from './check.ts';
import { PROJECT_DIRECTORY, runCommand } from './run-command.ts';
import { setUpSystem } from './setup-system.ts';

/** No runner needs as long, on a busy machine either; one that does is stuck. */
const RUNNER_TIMEOUT_MS = 25 * 60_000;
/** How long mocha may take to end after its last test; what it waits for then is a server or connection that a test left open. */
const LINGER_TIMEOUT_MS = 20_000;

const REPORTER = './scripts/mocha-count-reporter.cjs';

/** What a test runner's run came to; `failures` are the failed tests' titles with the first line of why, where the runner tells them. */
type TestCounts = {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures?: readonly string[];
};

type Step = { readonly name: string; readonly run: () => Promise<TestCounts> };

const PASSED: TestCounts = { passed: 1, failed: 0, skipped: 0 };

function failure(reason: string): TestCounts {
  console.log(`✘ ${reason}`);
  return { passed: 0, failed: 1, skipped: 0, failures: [reason] };
}

/**
 * The counts at the end of the output of `hardhat test solidity`.
 * @throws Error when there are none
 */
export function parseSolidityCounts(output: string): TestCounts {
  const plain = stripVTControlCharacters(output);
  const count = (word: string): number | undefined => {
    const matches = [...plain.matchAll(new RegExp(`^\\s*(\\d+) ${word}\\b`, 'gm'))];
    return matches.length === 0 ? undefined : Number(matches.at(-1)?.[1]);
  };
  const passed = count('passing');
  const failed = count('failing');
  if (passed === undefined && failed === undefined)
    throw new Error('the output has neither "N passing" nor "N failing"');
  return { passed: passed ?? 0, failed: failed ?? 0, skipped: count('skipped') ?? count('pending') ?? 0 };
}

/** A runner's counts, with one failure more when it failed in another way than by a failed test. */
export function withExitCode(counts: TestCounts, exitCode: number): TestCounts {
  return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** The last line: the sum of all runners. */
export function summaryLine(counts: TestCounts): string {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}

function add(left: TestCounts, right: TestCounts): TestCounts {
  return {
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
    failures: [...(left.failures ?? []), ...(right.failures ?? [])],
  };
}

/**
 * Runs mocha, or a command that runs it, and reads the counts that the reporter wrote.
 * @param options.quiet shows nothing of its output
 * @param options.hold shows its output when it has ended
 */
export async function runMocha(
  command: readonly [string, ...string[]],
  options: { readonly quiet?: boolean; readonly hold?: boolean } = {},
): Promise<TestCounts> {
  const directory = await mkdtemp(join(tmpdir(), 'tallystick-counts-'));
  const file = join(directory, 'counts.json');
  const startMs = performance.now();
  let finishedMs: number | undefined;
  try {
    const { exitCode, ended } = await runCommand(command, {
      env: { MOCHA_COUNTS_FILE: file },
      quiet: options.quiet ?? false,
      hold: options.hold ?? false,
      shouldEnd: () => {
        if (performance.now() - startMs > RUNNER_TIMEOUT_MS)
          return `it took more than ${RUNNER_TIMEOUT_MS / 60_000} minutes`;
        if (finishedMs === undefined && globSync(file).length > 0) finishedMs = performance.now();
        return finishedMs !== undefined && performance.now() - finishedMs > LINGER_TIMEOUT_MS
          ? 'its tests have ended, but something that they opened keeps it running'
          : undefined;
      },
    });
    const written = await readFile(file, 'utf8').catch(() => undefined);
    if (written === undefined) return failure(`${command.join(' ')}: ${ended ?? `exit code ${exitCode}, no results`}`);
    const counts = JSON.parse(written) as TestCounts;
    return ended === undefined
      ? withExitCode(counts, exitCode)
      : add(counts, failure(`${command.join(' ')}: ${ended}`));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function runSolidityTests(): Promise<TestCounts> {
  const startMs = performance.now();
  const { exitCode, output, ended } = await runCommand(['hardhat', 'test', 'solidity'], {
    readOutput: true,
    shouldEnd: () => (performance.now() - startMs > RUNNER_TIMEOUT_MS ? 'it took too long' : undefined),
  });
  if (ended !== undefined) return failure(`hardhat test solidity: ${ended}`);
  try {
    return withExitCode(parseSolidityCounts(output), exitCode);
  } catch (error) {
    return failure(`hardhat test solidity: exit code ${exitCode}, ${(error as Error).message}`);
  }
}

function find(pattern: string, exclude: readonly string[] = []): string[] {
  return globSync(pattern, { cwd: PROJECT_DIRECTORY, exclude })
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
}

/** What needs a whole exchange in processes of its own, mostly waiting for it. */
const WHOLE_EXCHANGE = 'test/{cli,demo,promises,readme,sdk,services,web}/**/*.test.ts';
/** What injects faults into one. */
const FAULTS = 'test/faults/**/*.test.ts';

const runTests = (files: readonly string[], hold: boolean): Promise<TestCounts> =>
  runMocha(['mocha', '--reporter', REPORTER, ...files], { hold });

/**
 * Side by side, since no runner keeps two cores busy: compiling the contracts alone takes minutes of one. The output of all but the longest
 * comes when its runner has ended.
 */
async function runSideBySide(runAll: (steps: readonly Step[]) => Promise<void>): Promise<void> {
  const whole = find(WHOLE_EXCHANGE);
  const faults = find(FAULTS);
  const others = new Set([...whole, ...faults]);
  const parts = find('test/**/*.test.ts', ['test/contracts/**']).filter((path) => !others.has(path));
  const contracts = runAll(planContractSteps());
  await Promise.all([
    runAll([planChecks(), { name: 'Tests: whole exchange', run: () => runTests(whole, false) }]),
    contracts.then(() => runAll([{ name: 'Tests: parts', run: () => runTests(parts, true) }])),
    contracts.then(() => runAll([{ name: 'Tests: faults', run: () => runTests(faults, true) }])),
  ]);
}

function planSetUp(): Step {
  return {
    name: 'System',
    run: async () => {
      const complaints = await setUpSystem();
      return complaints.length === 0 ? PASSED : complaints.map(failure).reduce(add);
    },
  };
}

function planChecks(): Step {
  return {
    name: 'Checks',
    run: async () => {
      const { passed, failed } = await runChecks();
      return { passed, failed: failed.length, skipped: 0, failures: failed };
    },
  };
}

function planContractSteps(): Step[] {
  const steps: Step[] = [
    {
      name: 'Contracts: compile',
      run: async () =>
        (await runCommand(['hardhat', 'compile'])).exitCode === 0 ? PASSED : failure('the contracts do not compile'),
    },
  ];
  if (find('contracts/**/*.t.sol').length > 0) steps.push({ name: 'Contracts: Solidity tests', run: runSolidityTests });
  steps.push({
    name: 'Contracts: TypeScript tests',
    run: () => runMocha(['hardhat', 'test', 'mocha', '--no-compile'], { hold: true }),
  });
  return steps;
}

async function main(): Promise<void> {
  const startMs = performance.now();
  let total: TestCounts = { passed: 0, failed: 0, skipped: 0 };
  const lines: string[] = [];
  const runAll = async (steps: readonly Step[]): Promise<void> => {
    for (const { name, run } of steps) {
      console.log(`\n━━ ${name}\n`);
      const stepStartMs = performance.now();
      const counts = await run();
      total = add(total, counts);
      lines.push(`${name}: ${summaryLine(counts)} (${Math.round((performance.now() - stepStartMs) / 1_000)} s)`);
    }
  };
  await runAll([planSetUp()]);
  await runSideBySide(runAll);
  console.log(`\n━━ Summary (${Math.round((performance.now() - startMs) / 1_000)} s)\n\n${lines.join('\n')}\n`);
  const failures = total.failures ?? [];
  if (failures.length > 0) console.log(`Failed:\n${failures.map((failed) => `  ✘ ${failed}`).join('\n')}\n`);
  console.log(summaryLine(total));
  process.exitCode = total.failed === 0 ? 0 : 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
