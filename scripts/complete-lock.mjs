/**
 * Makes package-lock.json installable on every system, whatever registry it was written from.
 *
 * `npm install` leaves out the optional packages of other systems (other operating systems, processors or C libraries) when the registry
 * at hand does not carry them. `npm ci` on a machine that does see them then refuses the lock (EUSAGE). And npm skips, without a word, an
 * optional package whose `engines` exclude the Node that runs npm, although this project brings its own newer Node: Hardhat would be left
 * without its native part (HHE27).
 *
 * So this script adds an entry for each exactly versioned optional dependency that the lock lacks, and drops `engines` from optional
 * entries. It also drops `resolved`, so that the lock names no registry. It changes nothing else, and running it twice changes nothing more.
 *
 * Plain JavaScript without dependencies: it must run under an old Node, before anything is installed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const OPERATING_SYSTEMS = new Map([
  ['aix', 'aix'],
  ['android', 'android'],
  ['darwin', 'darwin'],
  ['freebsd', 'freebsd'],
  ['linux', 'linux'],
  ['netbsd', 'netbsd'],
  ['openbsd', 'openbsd'],
  ['openharmony', 'openharmony'],
  ['sunos', 'sunos'],
  ['win32', 'win32'],
  ['windows', 'win32'],
]);

const PROCESSORS = new Map([
  ['aarch64', 'arm64'],
  ['amd64', 'x64'],
  ['arm', 'arm'],
  ['arm64', 'arm64'],
  ['armhf', 'arm'],
  ['ia32', 'ia32'],
  ['loong64', 'loong64'],
  ['mips64el', 'mips64el'],
  ['ppc64', 'ppc64'],
  ['riscv64', 'riscv64'],
  ['s390x', 's390x'],
  ['x64', 'x64'],
]);

const EXACT_VERSION = /^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$/;

/**
 * The systems a platform package is for, read from its name, as `os`, `cpu` and `libc` of a lock entry.
 * @param {string} name
 */
export function platformOf(name) {
  const words = name.split(/[/.-]/);
  const os = words.map((word) => OPERATING_SYSTEMS.get(word)).find(Boolean);
  const cpu = words.map((word) => PROCESSORS.get(word)).find(Boolean);
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : os === 'linux' && words.some((word) => word.startsWith('gnu'))
      ? 'glibc'
      : undefined;
  return { ...(cpu && { cpu: [cpu] }), ...(os && { os: [os] }), ...(libc && { libc: [libc] }) };
}

/**
 * The entry that Node would find for package `name` from the package installed at `location` (a key of `packages`; '' is the project).
 * @param {Record<string, { version?: string }>} packages
 * @param {string} location
 * @param {string} name
 */
function lockedEntry(packages, location, name) {
  for (let folder = location; ; ) {
    const entry = packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`];
    if (entry !== undefined || folder === '') return entry;
    const parentEnd = folder.lastIndexOf('/node_modules/');
    folder = parentEnd === -1 ? '' : folder.slice(0, parentEnd);
  }
}

/**
 * Returns a completed copy of a lock and what was done to it. The lock given stays as it is.
 * @param {{ packages: Record<string, any> }} lock the parsed package-lock.json, version 3
 * @returns {{ lock: any, added: string[], enginesDropped: string[], resolvedDropped: number, notExact: string[] }}
 */
export function completeLock(lock) {
  const packages = structuredClone(lock.packages);
  const added = [];
  const enginesDropped = [];
  const notExact = [];
  let resolvedDropped = 0;

  for (const [location, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const locked = lockedEntry(packages, location, name);
      const isExact = EXACT_VERSION.test(version);
      if (locked !== undefined && (!isExact || locked.version === version)) continue;
      if (!isExact) {
        // Without the registry's word, the version that a range stands for is not known.
        notExact.push(`${name}@${version} (of ${location || 'the project'})`);
        continue;
      }
      // A second version of the same name goes beneath the package that asks for it, as npm places it.
      const place =
        locked === undefined || location === '' ? `node_modules/${name}` : `${location}/node_modules/${name}`;
      packages[place] = { version, ...platformOf(name), ...(entry.dev && { dev: true }), optional: true };
      added.push(`${name}@${version}`);
    }
  }

  for (const [location, entry] of Object.entries(packages)) {
    if (entry.optional && entry.engines) {
      delete entry.engines;
      enginesDropped.push(location);
    }
    if ('resolved' in entry) {
      delete entry.resolved;
      resolvedDropped++;
    }
  }

  const sorted = Object.fromEntries(
    Object.entries(packages).sort(([left], [right]) => left.localeCompare(right, 'en')),
  );
  return { lock: { ...lock, packages: sorted }, added, enginesDropped, resolvedDropped, notExact };
}

function main() {
  const file = new URL('../package-lock.json', import.meta.url);
  const result = completeLock(JSON.parse(readFileSync(file, 'utf8')));
  writeFileSync(file, `${JSON.stringify(result.lock, null, 2)}\n`);
  console.log(
    `package-lock.json: ${result.added.length} entries of other systems added, engines dropped from ${result.enginesDropped.length} optional entries, ${result.resolvedDropped} addresses dropped.`,
  );
  for (const dependency of result.notExact) console.log(`  left out, its version is a range: ${dependency}`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
