import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const LINES_MAX = 500;
/** Tables of cases are long. */
const TEST_LINES_MAX = 600;
/** One hot path over one memory layout, read from top to bottom; apart, its parts would not be understood. */
const LONGER: ReadonlySet<string> = new Set(['contracts/Settlement.sol']);

/**
 * The one table of what may import what. A folder of src/ may import its own files and those of the folders named here. `packages` says
 * whether it may use npm packages and Node's modules: all of them, or only these. A row for a folder within another stands in place of that one's;
 * `files` are single files that it may import besides.
 */
const FOLDERS: Readonly<
  Record<
    string,
    {
      readonly folders: readonly string[];
      readonly files?: readonly string[];
      readonly packages: 'any' | readonly string[];
    }
  >
> = {
  domain: { folders: [], packages: [] },
  'offchain-engine': { folders: ['domain'], packages: ['node:crypto', 'node:assert'] },
  storage: { folders: ['domain', 'offchain-engine'], packages: 'any' },
  messaging: { folders: ['domain'], packages: 'any' },
  chain: { folders: ['domain'], packages: 'any' },
  settlement: { folders: ['domain', 'chain', 'storage'], packages: 'any' },
  indexer: { folders: ['domain', 'chain', 'storage'], packages: 'any' },
  reconciliation: { folders: ['domain', 'chain', 'storage'], packages: 'any' },
  api: { folders: ['domain', 'chain', 'storage', 'messaging'], packages: 'any' },
  auditor: { folders: ['domain', 'chain', 'offchain-engine'], packages: 'any' },
  sdk: { folders: ['domain', 'chain'], packages: 'any' },
  cli: { folders: ['sdk', 'auditor', 'domain', 'chain'], files: ['package.json'], packages: 'any' },
  // The operator's commands work on the database itself, by the services' settings.
  'cli/operations': {
    folders: ['cli', 'domain', 'chain', 'offchain-engine', 'storage'],
    files: ['src/services/config.ts'],
    packages: 'any',
  },
  services: {
    folders: [
      'api',
      'auditor',
      'chain',
      'cli',
      'domain',
      'indexer',
      'messaging',
      'offchain-engine',
      'reconciliation',
      'sdk',
      'settlement',
      'storage',
    ],
    packages: 'any',
  },
};

/** Finds `import … from 'x'`, `export … from 'x'`, `import 'x'`, `import('x')` and `new URL('./x', import.meta.url)`. */
const IMPORT =
  /(?:^|[\s;}])(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"`]([^'"`]+)['"`]|new URL\(\s*['"`](\.[^'"`]+)['"`]\s*,\s*import\.meta\.url/gm;

function files(pattern: string): string[] {
  return globSync(pattern, { cwd: PROJECT, exclude: ['**/node_modules/**'] })
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
}

const read = (path: string): string => readFileSync(posix.join(PROJECT, path), 'utf8');

const withoutComments = (source: string): string => source.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

function importsOf(source: string): string[] {
  return [...withoutComments(source).matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** Says what is wrong with one import of a file of src/, or nothing. */
function complaintAbout(path: string, specifier: string): string | undefined {
  const folder = path.split('/')[1] ?? '';
  const rule = FOLDERS[path.split('/').slice(1, 3).join('/')] ?? FOLDERS[folder];
  if (rule === undefined) return `${path}: src/${folder} is not in the table of folders`;
  if (specifier.startsWith('.')) {
    const target = posix.normalize(posix.join(posix.dirname(path), specifier));
    if (rule.files?.includes(target) === true) return undefined;
    if (!target.startsWith('src/'))
      return folder === 'services' ? undefined : `${path} reaches outside src: ${specifier}`;
    const targetFolder = target.split('/')[1] ?? '';
    return targetFolder === folder || rule.folders.includes(targetFolder)
      ? undefined
      : `${path}: ${folder} may not import ${targetFolder} (${specifier})`;
  }
  if (rule.packages === 'any' || rule.packages.includes(specifier)) return undefined;
  return `${path}: ${folder} may not import ${specifier}`;
}

describe('folder rules', () => {
  const sources = files('src/**/*.ts');

  it('read the imports of every file of src, and find some in nearly every folder', () => {
    assert.ok(sources.length > 0, 'no files were found: the rules were not checked');
    const total = sources.reduce((sum, path) => sum + importsOf(read(path)).length, 0);
    assert.ok(
      total > sources.length / 2,
      `only ${total} imports in ${sources.length} files: the search does not find them`,
    );
  });

  it('find every form of import, and none in comments', () => {
    const source = `
      import a from 'one';
      import type {
        B,
      } from "./two.ts";
      export { c } from './three.ts';
      export * from './four.ts';
      import './five.ts';
      const d = await import('./six.ts');
      const e = new Worker(new URL('./seven.ts', import.meta.url));
      /** import f from './not.ts'; */
      // import g from './neither.ts';
      export const h = 'from';`;
    const expected = ['one', './two.ts', './three.ts', './four.ts', './five.ts', './six.ts', './seven.ts'];
    assert.deepEqual(importsOf(source), expected);
  });

  it('refuse what the table does not allow', () => {
    assert.equal(complaintAbout('src/domain/units.ts', './markets.ts'), undefined);
    assert.equal(complaintAbout('src/indexer/apply.ts', '../storage/queries/facts.ts'), undefined);
    assert.match(complaintAbout('src/domain/units.ts', 'viem') ?? '', /domain may not import viem/);
    assert.match(complaintAbout('src/domain/units.ts', 'node:crypto') ?? '', /domain may not import node:crypto/);
    assert.match(
      complaintAbout('src/offchain-engine/apply.ts', '../storage/journal.ts') ?? '',
      /may not import storage/,
    );
    assert.match(complaintAbout('src/api/server.ts', '../services/config.ts') ?? '', /may not import services/);
    assert.match(complaintAbout('src/sdk/client.ts', '../../test/support/x.ts') ?? '', /reaches outside src/);
    assert.equal(complaintAbout('src/cli/operations/x.ts', '../../services/config.ts'), undefined);
    assert.match(complaintAbout('src/cli/operations/x.ts', '../../services/start.ts') ?? '', /may not import services/);
    assert.match(complaintAbout('src/cli/commands/x.ts', '../../storage/database.ts') ?? '', /may not import storage/);
    assert.match(complaintAbout('src/helpers/x.ts', './y.ts') ?? '', /not in the table/);
  });

  it('hold for every import of src', () => {
    const complaints = sources.flatMap((path) =>
      importsOf(read(path)).flatMap((specifier) => complaintAbout(path, specifier) ?? []),
    );
    assert.deepEqual(complaints, []);
  });

  it('let nobody but services, scripts, tests and benchmarks import services', () => {
    for (const { folders } of Object.values(FOLDERS)) assert.ok(!folders.includes('services'));
  });

  it('name Node modules by their prefix, so that a package cannot stand in for one', () => {
    const bare = new Set(builtinModules);
    const all = [...sources, ...files('{scripts,test,bench}/**/*.{ts,mjs}')];
    const complaints = all.flatMap((path) =>
      importsOf(read(path)).flatMap((specifier) =>
        bare.has(specifier) && !specifier.startsWith('node:') ? `${path}: ${specifier}` : [],
      ),
    );
    assert.deepEqual(complaints, []);
  });
});

describe('files', () => {
  const written = files('{src,scripts,test,bench,contracts,ignition,web}/**/*.{ts,tsx,mjs,cjs,sol,css,html}').filter(
    // The peer of the indexer's benchmark names its files as it likes.
    (path) => !path.startsWith('src/chain/generated/') && !path.startsWith('bench/ponder/'),
  );

  it(`have at most ${LINES_MAX} lines, generated ones aside`, () => {
    assert.ok(written.length > 0);
    const long = written.flatMap((path) => {
      const lines = read(path).split('\n').length - 1;
      const most = path.startsWith('test/') ? TEST_LINES_MAX : LINES_MAX;
      return lines > most && !LONGER.has(path) ? `${path}: ${lines}` : [];
    });
    assert.deepEqual(long, []);
  });

  it('have names in kebab-case, contracts the name of their contract', () => {
    const odd = written.filter((path) => {
      const name = posix.basename(path);
      return path.endsWith('.sol')
        ? !/^[A-Z][A-Za-z0-9]*(\.t)?\.sol$/.test(name)
        : path.startsWith('src/storage/migrations/')
          ? !/^[0-9]+[-_][a-z0-9_-]+\.\w+$/.test(name)
          : !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|d))?\.\w+$/.test(name) && !/^[A-Z][A-Za-z]*\.ts$/.test(name);
    });
    assert.deepEqual(odd, []);
  });

  it('name no directory of a machine they were written on', () => {
    // Put together here, so that this file does not find itself.
    const places = new RegExp(`(?<![\\w.$}/])/(?:${['wor' + 'k', 'roo' + 't', 'hom' + 'e'].join('|')})/`);
    const texts = [...written, ...files('{*.md,*.json,*.ts,docs/**/*.md,.ci/*,.github/**/*}')];
    const complaints = texts.flatMap((path) =>
      read(path)
        .split('\n')
        .flatMap((line, index) => (places.test(line) ? `${path}:${index + 1}: ${line.trim().slice(0, 100)}` : [])),
    );
    assert.deepEqual(complaints, []);
  });
});

describe('package-lock.json', () => {
  type Entry = {
    readonly resolved?: string;
    readonly optional?: boolean;
    readonly engines?: object;
    readonly link?: boolean;
  };
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, Entry> };

  it('names no registry', () => {
    const entries = Object.entries(lock.packages);
    assert.ok(entries.length > 100);
    assert.deepEqual(
      entries.filter(([, entry]) => entry.resolved !== undefined).map(([name]) => name),
      [],
    );
    assert.doesNotMatch(read('package-lock.json'), /https?:\/\/[^"]*registry/);
  });

  it('holds exact versions of every direct dependency', () => {
    const manifest = JSON.parse(read('package.json')) as Record<
      'dependencies' | 'devDependencies',
      Record<string, string>
    >;
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
    );
    assert.deepEqual(loose, []);
  });
});
