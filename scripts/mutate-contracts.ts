/**
 * `npm run test:mutation [-- part of a name]`: plants bugs in a copy of the contracts and sees whether the bounded tests notice each of them. All
 * bugs are compiled at once, each behind a switch, the block's coinbase, so that one compilation serves them all; with no switch thrown
 * the tests must pass, or nothing would be shown. Only a test's own verdict counts: a run that crashes is a failure of this script. Prints a table, and
 * fails when a bug survives or its text is no longer found.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { PLANTED_BUGS, type PlantedBug } from './mutate-contracts/planted-bugs.ts';
import { PROJECT_DIRECTORY } from './run-command.ts';

/** Coinbase that plants bug 0; the next ones follow. Nobody's address otherwise. */
const FIRST_SWITCH = 0xb09_000;

type TestRun = { readonly name: string; readonly command: readonly string[]; readonly failure: RegExp };

/** Cheapest first. */
const TESTS: readonly TestRun[] = [
  {
    name: 'differential',
    command: ['node', 'test/contracts/differential/run.ts', '--batches', '500', '--seed', '20260'],
    failure: /vault and model differ/,
  },
  {
    name: 'contract tests',
    command: [
      'hardhat',
      'test',
      'mocha',
      '--no-compile',
      ...['settlement', 'custody', 'exits', 'batches'].map((file) => `test/contracts/${file}.test.ts`),
    ],
    failure: /[1-9]\d* failing/,
  },
  {
    name: 'invariants',
    command: ['hardhat', 'test', 'solidity', 'contracts/test/invariants/VaultUnderActors.t.sol'],
    failure: /[1-9]\d* failing/,
  },
];

function run(
  directory: string,
  command: readonly string[],
  bug: number | undefined,
): { passed: boolean; output: string } {
  const [program = '', ...args] = command;
  const planted = bug === undefined ? 0 : FIRST_SWITCH + bug;
  const env = {
    ...process.env,
    PATH: `${join(PROJECT_DIRECTORY, 'node_modules', '.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
    PLANTED_BUG: `0x${planted.toString(16).padStart(40, '0')}`,
  };
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: directory,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  return { passed: status === 0, output: `${stdout}${stderr}` };
}

/** Replaces the one occurrence of a text. @throws RangeError unless there is exactly one */
function replaceOnce(source: string, from: string, to: string, what: string): string {
  const count = source.split(from).length - 1;
  if (count !== 1) throw new RangeError(`${what}: its text stands ${count} times instead of once: ${from}`);
  return source.replace(from, () => to);
}

function switchOf(bug: PlantedBug, index: number): (text: string) => string {
  const planted = `0x${(FIRST_SWITCH + index).toString(16).padStart(6, '0')}`;
  // Assembly and Solidity say the same in their own ways.
  const isAssembly =
    /(\bmstore|\b(and|or|iszero|sub|mul)\(.*\b(ON|OFF)\b)/.test(bug.to) && bug.file.startsWith('libraries/');
  const on = isAssembly ? `eq(coinbase(), ${planted})` : `(block.coinbase == address(${planted}))`;
  const off = isAssembly ? `iszero(eq(coinbase(), ${planted}))` : `(block.coinbase != address(${planted}))`;
  return (text) => text.replaceAll(/\bOFF\b/g, off).replaceAll(/\bON\b/g, on);
}

async function plantBugs(directory: string): Promise<void> {
  const contracts = join(directory, 'contracts');
  for (const [index, bug] of PLANTED_BUGS.entries()) {
    const path = join(contracts, bug.file);
    const source = await readFile(path, 'utf8');
    await writeFile(path, replaceOnce(source, bug.from, switchOf(bug, index)(bug.to), bug.name));
  }
  // A switch reads the block, which pure functions may not; nor can libraries with one be held against pure references.
  for (const folder of [contracts, join(contracts, 'libraries')]) {
    for (const file of await readdir(folder)) {
      if (!file.endsWith('.sol')) continue;
      const source = await readFile(join(folder, file), 'utf8');
      await writeFile(join(folder, file), source.replaceAll(/\b(internal|private) pure\b/g, '$1 view'));
    }
  }
  for (const file of await readdir(join(contracts, 'test'))) {
    if (file.endsWith('.t.sol')) await rm(join(contracts, 'test', file));
  }
  const config = join(directory, 'hardhat.config.ts');
  let text = await readFile(config, 'utf8');
  const coinbase = "coinbase: process.env['PLANTED_BUG'] as string";
  text = replaceOnce(
    text,
    "hardfork: 'osaka'",
    `hardfork: 'osaka', allowUnlimitedContractSize: true, ${coinbase}`,
    'network',
  );
  text = replaceOnce(text, 'default: { fuzz', `default: { ${coinbase}, fuzz`, 'Solidity tests');
  await writeFile(config, text);
}

/** Tracked and new files of the project, as they are now. */
async function copyProject(directory: string): Promise<void> {
  const listed = spawnSync(
    'git',
    [
      'ls-files',
      '-z',
      '--cached',
      '--others',
      '--exclude-standard',
      '--',
      'contracts',
      // The compile also writes what the documents quote.
      'docs/*.md',
      'src',
      'test',
      'scripts',
      '*.json',
      '*.ts',
    ],
    {
      cwd: PROJECT_DIRECTORY,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    },
  );
  for (const file of listed.stdout.split('\0').filter((name) => name !== '')) {
    const bytes = await readFile(join(PROJECT_DIRECTORY, file)).catch(() => undefined);
    // Tracked, and deleted since.
    if (bytes === undefined) continue;
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), bytes);
  }
  await symlink(join(PROJECT_DIRECTORY, 'node_modules'), join(directory, 'node_modules'), 'dir');
}

/** Name of the test that noticed the bug. @throws Error when a run failed without a test saying so */
function noticedBy(directory: string, bug: number | undefined): string | undefined {
  for (const { name, command, failure } of TESTS) {
    const { passed, output } = run(directory, command, bug);
    if (passed) continue;
    if (!failure.test(output)) throw new Error(`${name} broke down:\n${output.slice(-2_000)}`);
    if (bug === undefined) throw new Error(`${name} fails without any bug planted:\n${output.slice(-2_000)}`);
    return name;
  }
  return undefined;
}

async function main(): Promise<void> {
  const wanted = process.argv[2] ?? '';
  const directory = await mkdtemp(join(tmpdir(), 'tallystick-mutation-'));
  try {
    await copyProject(directory);
    await plantBugs(directory);
    console.log(`compiling the contracts with ${PLANTED_BUGS.length} bugs`);
    const generated = run(directory, ['node', 'scripts/generate-abis.ts'], undefined);
    if (!generated.passed) throw new Error(`the contracts do not compile:\n${generated.output.slice(-4_000)}`);
    noticedBy(directory, undefined);
    console.log('no bug planted: all tests pass\n');
    let survivors = 0;
    for (const [index, { name }] of PLANTED_BUGS.entries()) {
      if (!name.includes(wanted)) continue;
      const noticed = noticedBy(directory, index);
      if (noticed === undefined) survivors += 1;
      console.log(`${(noticed ?? 'SURVIVED').padEnd(16)}${name}`);
    }
    console.log(survivors === 0 ? '\nevery bug was noticed' : `\n${survivors} bugs survived`);
    process.exitCode = survivors === 0 ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

await main();
