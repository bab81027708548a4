/** docs/api.md: its example runs as it stands, and what it names exists. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import type { Address, Quanta } from '../../src/domain/units.ts';
import { type ApiExchange, startApiExchange } from './support/api-exchange.ts';
import { send } from './support/client.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/api.md', import.meta.url));
/** Beside this test, so that the example finds the project's packages. */
const SCRIPT = fileURLToPath(new URL(`./sign-${process.pid}.mjs`, import.meta.url));

describe('docs/api.md', () => {
  let exchange: ApiExchange;

  before(async () => {
    exchange = await startApiExchange();
  });
  after(async () => {
    await rm(SCRIPT, { force: true });
    await exchange.stop();
  });

  it('signs an order by hand that the exchange takes', async () => {
    const key = generatePrivateKey();
    const account = privateKeyToAccount(key).address.toLowerCase() as Address;
    await exchange.fact({ kind: 'depositCredited', account, asset: 1, amount: 1_000_000_000 as Quanta });
    const [, example] = /```js\n([\s\S]*?)```/.exec(await readFile(DOCUMENT, 'utf8')) ?? [];
    assert.ok(example);
    await writeFile(SCRIPT, example);
    const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT], {
      env: { ...process.env, KEY: key, URL: exchange.url },
    });
    const validated = await send(exchange.url, 'POST', '/api/v1/orders/validate', { raw: stdout });
    assert.deepEqual(validated.body.problems, []);
    const placed = await send(exchange.url, 'POST', '/api/v1/orders', { raw: stdout });
    assert.equal(placed.status, 201, JSON.stringify(placed.body));
    assert.equal(placed.body.order.price, '2000');
    assert.equal(placed.body.order.size, '0.1');
  });
});
