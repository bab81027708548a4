/**
 * Finds what tests need from the system beyond npm: a Redis server and Chromium. On Debian and Ubuntu what is missing is installed, where
 * this may be done without asking (root, or sudo without a password). Elsewhere it says what to do.
 */
import { findProgram, type SystemProgram } from './find-program.ts';
import { runCommand } from './run-command.ts';

const NEEDED: readonly {
  readonly program: SystemProgram;
  readonly debianPackage: string;
  readonly variable: string;
}[] = [
  { program: 'redis-server', debianPackage: 'redis-server', variable: 'REDIS_SERVER' },
  { program: 'chromium', debianPackage: 'chromium', variable: 'CHROMIUM' },
];

/**
 * Makes sure that the programs are there.
 * @returns what is still missing, a sentence each; empty when all is well
 */
export async function setUpSystem(): Promise<string[]> {
  const missing = NEEDED.filter(({ program }) => findProgram(program) === undefined);
  if (missing.length > 0) await installDebianPackages(missing.map(({ debianPackage }) => debianPackage));
  const complaints: string[] = [];
  for (const { program, debianPackage, variable } of NEEDED) {
    const path = findProgram(program);
    if (path !== undefined) console.log(`${program}: ${path}`);
    else {
      complaints.push(
        `${program} was not found. Install it (Debian, Ubuntu: "apt-get install ${debianPackage}"; macOS: "brew install ${program === 'chromium' ? '--cask chromium' : 'redis'}"), or set ${variable} to its path.`,
      );
    }
  }
  return complaints;
}

async function installDebianPackages(packages: readonly string[]): Promise<void> {
  if (process.platform !== 'linux') return;
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const aptGet = async (...args: string[]): Promise<boolean> => {
    const [program = 'apt-get', ...rest] = [...asRoot, 'apt-get', ...args];
    return (await runCommand([program, ...rest], { env: { DEBIAN_FRONTEND: 'noninteractive' } })).exitCode === 0;
  };
  console.log(`Installing ${packages.join(' and ')} with apt-get …`);
  await aptGet('-qq', 'update');
  for (const name of packages) await aptGet('-qq', '-y', '--no-install-recommends', 'install', name);
}
