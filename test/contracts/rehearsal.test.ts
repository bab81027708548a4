import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { localKey, type Rehearsed, rehearse } from '../../scripts/rehearse.ts';
import { type LocalNode, startLocalNode } from '../../src/services/local-node.ts';

type Answer = { readonly id: number; readonly error?: unknown; readonly result?: unknown };
type Request = { readonly id: number; readonly method: string };

describe('npm run rehearse', function () {
  this.timeout(120_000);
  let node: LocalNode;
  before(async () => {
    node = await startLocalNode();
  });
  after(() => node.stop());

  const lines: string[] = [];
  const rehearseAt = async (rpcUrl: string): Promise<Rehearsed> => {
    lines.length = 0;
    return rehearse({ rpcUrl, deployerKey: localKey(), say: (line) => void lines.push(line) });
  };

  /** Rehearses through a node that answers some things in its own way. */
  const rehearseThrough = async (answer: (request: Request, honest: Answer) => Answer): Promise<Rehearsed> => {
    const relay = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
      const body = Buffer.concat(await incoming.toArray()).toString('utf8');
      const forwarded = await fetch(node.rpcUrl, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      const honest = (await forwarded.json()) as Answer;
      outgoing.setHeader('content-type', 'application/json');
      outgoing.end(JSON.stringify(answer(JSON.parse(body) as Request, honest)));
    };
    const server = createServer((incoming, outgoing) => {
      relay(incoming, outgoing).catch((error: Error) => outgoing.destroy(error));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      return await rehearseAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };

  it('rotates the engine key, pauses, extends a pause and leaves with everything dead', async () => {
    const rehearsed = await rehearseAt(node.rpcUrl);
    assert.equal(rehearsed.failed, null);
    assert.deepEqual([rehearsed.ok, rehearsed.passed, rehearsed.leftOut], [true, rehearsed.steps, []]);
    assert.ok(rehearsed.steps >= 16, `${rehearsed.steps} steps`);
    for (const act of ['rotation', 'pause', 'extended by governance', 'exit with everything dead'])
      assert.ok(
        lines.some((line) => line.includes(act)),
        act,
      );
    assert.ok(rehearsed.chainSeconds > 30 * 86_400, `${rehearsed.chainSeconds} s of chain time`);
  });

  it('says what it would have to wait for where the clock cannot be moved, and leaves it out', async () => {
    const rehearsed = await rehearseThrough(({ id, method }, honest) =>
      method.startsWith('evm_') ? { id, error: { code: -32_601, message: 'the method does not exist' } } : honest,
    );
    assert.equal(rehearsed.ok, true);
    assert.ok(rehearsed.passed >= 3 && rehearsed.passed + rehearsed.leftOut.length === rehearsed.steps);
    assert.ok(
      lines.some((line) => line.includes('4 hours must pass: the timelock’s delay')),
      lines.join('\n'),
    );
  });

  it('fails when the chain does not refuse what it must', async () => {
    const rehearsed = await rehearseThrough(({ id, method }, honest) =>
      method === 'eth_call' && honest.error !== undefined ? { id, result: '0x' } : honest,
    );
    assert.equal(rehearsed.ok, false);
    assert.match(rehearsed.failed ?? '', /expected Unauthorized, got no refusal/);
  });
});
