import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_TABLE } from '../../src/cli/exit-codes.ts';
import { redact } from '../../src/cli/operations/config-check.ts';
import { useTemporaryDirectory } from '../support/temporary-directory.ts';
import { runTallystick } from './run-tallystick.ts';

const NOBODY = 'http://127.0.0.1:1';
const KEY = `0x${'11'.repeat(32)}`;
const VAULT = `0x${'22'.repeat(20)}`;

describe('tallystick, used wrongly and without an exchange', function () {
  this.timeout(30_000);
  const directory = useTemporaryDirectory();

  it('shows every command and every exit code in its help, the same as in its page of the docs', async () => {
    const { code, stdout } = await runTallystick(['--help']);
    assert.equal(code, 0);
    const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
    for (const [exitCode, meaning] of EXIT_TABLE) {
      assert.ok(stdout.includes(`  ${String(exitCode).padEnd(4)} ${meaning}`), `${exitCode} is not in --help`);
      assert.ok(page.includes(`| ${exitCode} | ${meaning} |`), `${exitCode} is not in docs/cli.md`);
    }
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) (?:\[|<| {2})/gm)].map((match) => match[1] ?? '');
    assert.ok(commands.length >= 19, `only ${commands.join(' ')}`);
    for (const command of commands) assert.ok(page.includes(`\`${command}`), `${command} is not in docs/cli.md`);
  });

  const wrong: readonly (readonly [what: string, args: readonly string[], says: RegExp])[] = [
    ['an unknown command', ['frobnicate'], /unknown command 'frobnicate'/],
    ['a missing argument', ['book'], /missing required argument 'market'/],
    ['a market that cannot be one', ['book', 'WETH'], /market such as WETH-USDC/],
    ['a price in exponents', ['order', 'buy', '1', 'WETH-USDC', '--price', '1e3'], /plain decimal such as 0\.015/],
    ['a side that is none', ['order', 'hold', '1', 'WETH-USDC', '--price', '1'], /Allowed choices are buy, sell/],
    ['a URL of another kind', ['markets', '--url', 'ftp://x'], /begins with http/],
    ['an audit without a vault', ['audit', '--rpc', NOBODY], /required option '--vault <address>'/],
    ['a vault that is no address', ['audit', '--rpc', NOBODY, '--vault', '0x12'], /0x and 40 hex digits/],
    [
      'blocks in the wrong order',
      ['audit', '--rpc', NOBODY, '--vault', VAULT, '--from', '9', '--to', '8'],
      /--from is above --to/,
    ],
    ['a decision without a reason', ['operator', 'resume-withdrawals'], /required option '--reason <text>'/],
    ['an empty reason', ['operator', 'resume-withdrawals', '--reason', ' '], /1 to 500 characters/],
    ['an order without a price', ['order', 'buy', '1', 'WETH-USDC'], /either a limit with --price, or --slippage-ppm/],
    [
      'an order with a price and a slippage',
      ['order', 'buy', '1', 'WETH-USDC', '--price', '1', '--slippage-ppm', '1'],
      /either a limit with --price, or --slippage-ppm/,
    ],
    [
      'a market order that would rest',
      ['order', 'buy', '1', 'WETH-USDC', '--slippage-ppm', '1', '--time-in-force', 'gtc'],
      /takes what is there now/,
    ],
    [
      'a stop with two triggers',
      ['order', 'buy', '1', 'WETH-USDC', '--price', '1', '--stop-at-or-above', '1', '--stop-at-or-below', '1'],
      /one trigger/,
    ],
    ['two ways to cancel at once', ['cancel', '--all', '--after', '5'], /or --on-chain, or --after/],
    ['two ways to cancel', ['cancel', '--all', '--on-chain'], /one order id, or --all, or --on-chain/],
    ['a wallet without a key', ['balances', '--url', NOBODY], /TALLYSTICK_PRIVATE_KEY, or name a file/],
    ['no database', ['replay'], /DATABASE_URL is not set/],
  ];
  for (const [what, args, says] of wrong) {
    it(`refuses ${what} with exit code 2`, async () => {
      const { code, stderr, stdout } = await runTallystick(args);
      assert.match(stderr, says);
      assert.equal(code, 2);
      assert.equal(stdout, '');
    });
  }

  it('reads the key from a file or the environment, and shows none of it when it is wrong', async () => {
    const file = join(directory.path(), 'key');
    writeFileSync(file, `${KEY.slice(0, -2)}zz\n`);
    for (const environment of [{ TALLYSTICK_KEY_FILE: file }, { TALLYSTICK_PRIVATE_KEY: KEY.slice(2) }]) {
      const { code, stderr, stdout } = await runTallystick(['balances', '--url', NOBODY], environment);
      assert.equal(code, 2);
      assert.match(stderr, /does not hold a private key/);
      assert.ok(!`${stdout}${stderr}`.includes('1111'));
    }
  });

  it('says in JSON what failed, and that it may be tried again', async () => {
    const { code, json } = await runTallystick(['markets', '--url', NOBODY, '--json']);
    assert.equal(code, 5);
    const { ok, error } = json() as { ok: boolean; error: { code: string; retryable: boolean } };
    assert.deepEqual([ok, error.code, error.retryable], [false, 'NETWORK', true]);
  });

  it('tells all wrong settings at once', async () => {
    const { code, stderr } = await runTallystick(['config', 'check'], { PORT: '99999', SEAL_TRADES: 'many' });
    assert.equal(code, 2);
    assert.match(stderr, /PORT: .*\n.*SEAL_TRADES: /);
  });

  it('shows settings without their secrets', async () => {
    const { code, stdout } = await runTallystick(['config', 'check', '--json'], {
      ENGINE_PRIVATE_KEY: KEY,
      API_KEY_SECRET: 'quite-a-secret-of-thirty-two-letters',
      DATABASE_URL: 'postgresql://tally:hunter2@db.example:5432/books',
      RPC_URL: 'https://node.example/v3/0123456789abcdef, https://other.example',
    });
    assert.equal(code, 0);
    for (const secret of ['1111', 'quite-a-secret', 'hunter2', '0123456789abcdef']) assert.ok(!stdout.includes(secret));
    assert.ok(stdout.includes('postgresql://…@db.example:5432/books'));
    assert.equal(
      redact('RPC_URL', 'https://a.example/key, https://b.example'),
      'https://a.example/…, https://b.example',
    );
  });

  it('finds in its examination what is away, and says how to mend each', async () => {
    const { code, json } = await runTallystick(['doctor', '--json'], {
      DATABASE_URL: 'postgresql://tally:hunter2@127.0.0.1:1/books',
      RPC_URL: NOBODY,
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    assert.equal(code, 1);
    const { checks } = json() as { checks: { name: string; state: string; remedy?: string }[] };
    const failed = checks.filter(({ state }) => state === 'failed');
    assert.deepEqual(
      failed.map(({ name }) => name),
      ['database', `node ${NOBODY}`, 'Redis'],
    );
    assert.ok(failed.every(({ remedy }) => remedy !== undefined && remedy !== ''));
  });

  it('prints completions that a shell accepts', async () => {
    const { code, stdout } = await runTallystick(['completion', 'bash']);
    assert.equal(code, 0);
    assert.equal(spawnSync('bash', ['-n'], { input: stdout }).status, 0);
    const proposed = spawnSync('bash', ['-s'], {
      input: `${stdout}\nCOMP_WORDS=(tallystick operator res); COMP_CWORD=2; _tallystick; echo "\${COMPREPLY[@]}"`,
    });
    assert.equal(proposed.stdout.toString().trim(), 'resume-withdrawals reseal-batch');
  });
});
