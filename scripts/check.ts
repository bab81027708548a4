/**
 * `npm run check`: everything that can be said about the code without running it. Each check is one command; all are run, and the exit
 * code says whether all passed.
 */
import { globSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { PROJECT_DIRECTORY, runCommand } from './run-command.ts';

type Check = {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly onlyWithContracts?: true;
};

const CHECKS: readonly Check[] = [
  { name: 'format and lint', command: ['biome', 'check', '--error-on-warnings', '.'] },
  { name: 'promises and exhaustive switches', command: ['oxlint', '--deny-warnings'] },
  { name: 'types', command: ['tsc'] },
  { name: 'unused code and dependencies', command: ['knip'] },
  {
    name: 'Solidity lint',
    command: ['solhint', '--disc', '--noPoster', '--max-warnings', '0', 'contracts/**/*.sol'],
    onlyWithContracts: true,
  },
  {
    name: 'Solidity format',
    command: ['prettier', '--check', '--log-level', 'warn', 'contracts/**/*.sol'],
    onlyWithContracts: true,
  },
];

/** The folder rules are tests; here they are run alone, in the full test run with all others. */
const FOLDER_RULES: Check = {
  name: 'folder rules',
  command: ['mocha', '--reporter', 'dot', 'test/architecture/**/*.test.ts'],
};

/** Runs the checks one after the other. @returns how many passed, and the names of those that failed */
export async function runChecks(checks: readonly Check[] = CHECKS): Promise<{ passed: number; failed: string[] }> {
  const hasContracts = globSync('contracts/**/*.sol', { cwd: PROJECT_DIRECTORY }).length > 0;
  const failed: string[] = [];
  let passed = 0;
  for (const { name, command, onlyWithContracts } of checks) {
    if (onlyWithContracts === true && !hasContracts) continue;
    const startMs = performance.now();
    const { exitCode, ended } = await runCommand(command);
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
    if (exitCode === 0) passed++;
    else failed.push(name);
    console.log(
      `${exitCode === 0 ? '✔' : '✘'} ${name} (${command.join(' ')}, ${seconds} s)${ended === undefined ? '' : `: ${ended}`}`,
    );
  }
  return { passed, failed };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { passed, failed } = await runChecks([...CHECKS, FOLDER_RULES]);
  console.log(`${passed} checks passed, ${failed.length} failed${failed.length === 0 ? '' : `: ${failed.join(', ')}`}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
