/**
 * `npm run test:promises`: plants small bugs in the code that upholds the promises P1–P10, one at a time, and holds that the promise's own test
 * finds each. A test that passes whatever the code does promises nothing.
 *
 *   npm run test:promises                every planted bug
 *   npm run test:promises -- P3 P7       those of some promises
 *   npm run test:promises -- --services  those outside the contracts, for which nothing is compiled; --contracts for the others
 *
 * Works in a copy of the project, never in the work tree. First every test has to pass there unchanged. A bug counts as found when a test
 * named after its promise fails; a run that ends in any other way is reported as broken, since it shows nothing.
 * Bugs in contracts are compiled, only what is deployed, and the creation code that tests deploy is generated anew.
 */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { PLANTED_BUGS, type PlantedBug, type PromiseName, TEST_OF_PROMISE } from './break-promises/planted-bugs.ts';
import { PROJECT_DIRECTORY } from './run-command.ts';

const run = promisify(execFile);
/** Compiling the contracts takes a minute or two on an idle machine. */
const RUN_TIMEOUT_MS = 15 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
type TestRun = { readonly passed: number; readonly failed: readonly string[]; readonly trouble: string | undefined };
type Outcome = { readonly verdict: 'found' | 'survived' | 'broken'; readonly by: string; readonly seconds: number };

/** A copy of every file of the project that git knows or would take, with the same dependencies. */
async function copyProject(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'tallystick-promises-'));
  const { stdout } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: PROJECT_DIRECTORY,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  for (const file of stdout.split('\0')) {
    if (file === '') continue;
    await mkdir(dirname(join(copy, file)), { recursive: true });
    // A file that was deleted and not committed yet is still in git's list.
    await cp(join(PROJECT_DIRECTORY, file), join(copy, file)).catch(() => undefined);
  }
  await symlink(join(PROJECT_DIRECTORY, 'node_modules'), join(copy, 'node_modules'), 'junction');
  return copy;
}

/** Runs one of the project's own programs in the copy. @throws Error with its output when it fails */
async function runTool(copy: string, tool: string, args: readonly string[]): Promise<void> {
  const tools = join(PROJECT_DIRECTORY, 'node_modules', '.bin');
  await run(join(tools, tool), args, {
    cwd: copy,
    env: { ...process.env, PATH: `${tools}${delimiter}${process.env['PATH'] ?? ''}` },
    timeout: RUN_TIMEOUT_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
    shell: process.platform === 'win32',
  });
}

async function runTest(copy: string, promise: PromiseName): Promise<TestRun> {
  const report = join(copy, `.promise-${promise}.json`);
  await rm(report, { force: true });
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${report}`];
  const ended = await runTool(copy, 'mocha', [...reporter, '--exit', TEST_OF_PROMISE[promise]]).catch(
    (error: Error) => error,
  );
  const text = await readFile(report, 'utf8').catch(() => undefined);
  if (text === undefined)
    return { passed: 0, failed: [], trouble: firstLine(ended?.message ?? 'no report was written') };
  const { stats, failures } = JSON.parse(text) as { stats: { passes: number }; failures: { title: string }[] };
  return { passed: stats.passes, failed: failures.map(({ title }) => title), trouble: undefined };
}

/** @throws Error unless the text stands there exactly once: then the table must be brought up to date */
export function plant(
  source: string,
  { file, text, replacement }: Pick<PlantedBug, 'file' | 'text' | 'replacement'>,
): string {
  const parts = source.split(text);
  if (parts.length !== 2) throw new Error(`${file} has the text ${parts.length - 1} times: ${firstLine(text)}`);
  return parts.join(replacement);
}

async function tryBug(copy: string, bug: PlantedBug): Promise<Outcome> {
  const startMs = performance.now();
  const done = (verdict: Outcome['verdict'], by: string): Outcome => ({
    verdict,
    by,
    seconds: Math.round((performance.now() - startMs) / 1_000),
  });
  const path = join(copy, bug.file);
  const sound = await readFile(path, 'utf8');
  const isContract = bug.file.endsWith('.sol');
  const generated = join('src', 'chain', 'generated');
  try {
    await writeFile(path, plant(sound, bug));
    if (isContract) await runTool(copy, 'node', ['scripts/generate-abis.ts', '--deployed-only']);
    const { failed, trouble } = await runTest(copy, bug.promise);
    const found = failed.find((title) => title.startsWith(`${bug.promise}:`));
    if (found !== undefined) return done('found', found);
    return trouble === undefined && failed.length === 0
      ? done('survived', 'every test passed')
      : done('broken', trouble ?? failed.join('; '));
  } catch (error) {
    return done('broken', firstLine((error as Error).message));
  } finally {
    await writeFile(path, sound);
    if (isContract) await cp(join(PROJECT_DIRECTORY, generated), join(copy, generated), { recursive: true });
  }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}

function chosenBugs(args: readonly string[]): readonly PlantedBug[] {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { services: { type: 'boolean' }, contracts: { type: 'boolean' } },
    allowPositionals: true,
  });
  const names = positionals.map((name) => name.toUpperCase());
  const unknown = names.find((name) => !(name in TEST_OF_PROMISE));
  if (unknown !== undefined) throw new RangeError(`there is no promise ${unknown}; they are P1 to P10`);
  return PLANTED_BUGS.filter(({ promise, file }) => {
    const isContract = file.endsWith('.sol');
    const isWanted = (isContract && values.services !== true) || (!isContract && values.contracts !== true);
    return isWanted && (names.length === 0 || names.includes(promise));
  });
}

async function main(): Promise<void> {
  const bugs = chosenBugs(process.argv.slice(2));
  const promises = [...new Set(bugs.map(({ promise }) => promise))];
  const copy = await copyProject();
  process.once('SIGINT', () => {
    rmSync(copy, { recursive: true, force: true });
    process.exit(130);
  });
  let bad = 0;
  try {
    for (const promise of promises) {
      const { passed, failed, trouble } = await runTest(copy, promise);
      const sound = passed > 0 && failed.length === 0 && trouble === undefined;
      console.log(`${sound ? '✔' : '✘'} ${promise} unchanged: ${passed} passed${trouble ?? ''} ${failed.join('; ')}`);
      if (!sound)
        throw new Error(`the tests of ${promise} do not pass without a planted bug, so they can show nothing`);
    }
    for (const bug of bugs) {
      const { verdict, by, seconds } = await tryBug(copy, bug);
      if (verdict !== 'found') bad++;
      console.log(`${verdict === 'found' ? '✔' : '✘'} ${bug.promise} ${verdict} (${seconds} s): ${bug.what}`);
      console.log(`    ${bug.file}\n    ${by}`);
    }
  } finally {
    await rm(copy, { recursive: true, force: true, maxRetries: 5 });
  }
  console.log(`\n${bugs.length} bugs planted, ${bugs.length - bad} found, ${bad} not`);
  process.exitCode = bad === 0 ? 0 : 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
