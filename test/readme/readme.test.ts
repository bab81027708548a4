/** The README keeps its word: its example runs as it stands, and what the documents link to exists. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { useRunningExchange } from '../support/running-exchange.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const IMAGE_BYTES_MAX = 300_000;

const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8');

/** Targets of links and images outside of code; only those within the project, without their anchors. */
function relativeLinks(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^([a-z]+:|#)/.test(target))
    .map((target) => target.split('#')[0] ?? '');
}

describe('the documents', () => {
  const documents = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'].concat(
    globSync('docs/**/*.md', { cwd: PROJECT }).map((path) => path.replaceAll('\\', '/')),
  );

  for (const path of documents) {
    it(`${path} links to what exists`, () => {
      const missing = relativeLinks(read(path)).filter(
        (target) => !existsSync(join(PROJECT, dirname(path), decodeURIComponent(target))),
      );
      assert.deepEqual(missing, []);
    });
  }

  it('README.md links to enough to be worth a check, and its picture is small', () => {
    assert.ok(relativeLinks(read('README.md')).length > 20);
    assert.ok(statSync(join(PROJECT, 'docs/images/page.png')).size < IMAGE_BYTES_MAX);
  });

  it('README.md names commands that package.json has', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...read('README.md').matchAll(/npm (?:run )?(start|test|[a-z:]+) ?(?:--|\n|$|`)/g)].map(
      (match) => match[1] ?? '',
    );
    assert.deepEqual(
      named.filter((name) => name !== 'ci' && scripts[name] === undefined),
      [],
    );
    assert.ok(named.includes('start') && named.includes('test') && named.includes('demo'));
  });
});

describe("the README's example", function () {
  this.timeout(60_000);
  const { exchange } = useRunningExchange({ demoTraders: true });

  it('runs against a running exchange, from deposit to withdrawal', async () => {
    const example = /^```ts\n([\s\S]*?)^```/m.exec(read('README.md'))?.[1];
    assert.ok(example, 'README.md has no TypeScript example');
    const lines = example.split('\n').filter((line) => line.trim() !== '');
    assert.ok(lines.length <= 30, `the example has ${lines.length} lines`);
    await waitForAsks();
    const { code, output } = await run(example);
    assert.equal(code, 0, output);
    assert.match(output, /^best ask \[ '\d/m);
    assert.match(output, /^filled: bought 0\.1 WETH, receipt \d+$/m);
    assert.match(output, /^verified [\d.]+ WETH at [\d.]+ in block \d+$/m);
    assert.match(output, /^withdrawal executed$/m);
  });

  /** The demo makers need a moment to fill the book. */
  async function waitForAsks(): Promise<void> {
    for (;;) {
      const response = await fetch(`${exchange().url}/api/v1/markets/WETH-USDC/depth`);
      if (((await response.json()) as { asks: unknown[] }).asks.length >= 4) return;
      await sleep(200);
    }
  }

  function run(source: string): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', source], {
      cwd: PROJECT,
      env: { ...process.env, EXCHANGE_URL: exchange().url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        output += bytes.toString();
      });
    }
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
  }
});
