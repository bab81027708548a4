/**
 * `node scripts/plant-bugs.ts [--seeds 60]`: plants one bug after another in a copy of the engine and shows that the simulation
 * notices each. Ends with exit code 1 when one stays unnoticed, or when the code that it would change is no longer there.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { plant } from './break-promises.ts';
import { PROJECT_DIRECTORY } from './run-command.ts';
import { PLANTED_BUGS } from './simulation/planted-bugs.ts';

const run = promisify(execFile);
const { values } = parseArgs({ options: { seeds: { type: 'string', default: '60' } } });

/** @returns the first seed that failed, undefined when none did */
async function simulate(directory: string): Promise<number | undefined> {
  const last = await run(process.execPath, ['scripts/simulate.ts', '--seeds', values.seeds], {
    cwd: directory,
    maxBuffer: 1 << 26,
  }).then(
    ({ stdout }) => stdout.trimEnd().split('\n').at(-1),
    ({ stdout }: { stdout?: string }) => stdout?.trimEnd().split('\n').at(-1),
  );
  const { failedSeed } = JSON.parse(last ?? '{}') as { failedSeed?: number | null };
  return failedSeed ?? undefined;
}

const copy = await mkdtemp(join(tmpdir(), 'planted-'));
let missed = 0;
try {
  for (const part of ['src', 'scripts', 'test/support', 'package.json'])
    await cp(join(PROJECT_DIRECTORY, part), join(copy, part), { recursive: true });
  await symlink(join(PROJECT_DIRECTORY, 'node_modules'), join(copy, 'node_modules'));
  const failing = await simulate(copy);
  if (failing !== undefined) throw new Error(`seed ${failing} fails without a planted bug, so it can show nothing`);
  for (const bug of PLANTED_BUGS) {
    const { what } = bug;
    const path = join(copy, bug.file);
    const sound = await readFile(path, 'utf8');
    await writeFile(path, plant(sound, bug));
    const seed = await simulate(copy);
    await writeFile(path, sound);
    if (seed === undefined) missed++;
    console.log(`${seed === undefined ? 'MISSED ' : 'noticed'} ${what}${seed === undefined ? '' : ` (seed ${seed})`}`);
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
console.log(JSON.stringify({ planted: PLANTED_BUGS.length, noticed: PLANTED_BUGS.length - missed }));
process.exit(missed === 0 ? 0 : 1);
