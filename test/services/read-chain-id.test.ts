import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readChainId } from '../../src/services/read-chain-id.ts';

describe('the chain id at the start', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    }
  });

  const serve = async (listener: RequestListener): Promise<string> => {
    const server = createServer(listener).listen(0, '127.0.0.1');
    servers.push(server);
    await new Promise((listening) => server.once('listening', listening));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/secret-api-key`;
  };
  const nodeOf = (result: unknown, asked: string[] = []): Promise<string> =>
    serve((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        const { id, method } = JSON.parse(body) as { id: number; method: string };
        asked.push(method);
        response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      });
    });
  /** Takes connections no more. */
  const gone = async (): Promise<string> => {
    const url = await nodeOf('0x1');
    await new Promise((closed) => servers.pop()?.close(closed));
    return url;
  };

  it('comes from the first node when that answers, and the others are left alone', async () => {
    const asked: string[] = [];
    const [first, second] = [await nodeOf('0x7a69'), await nodeOf('0x1', asked)];
    assert.deepEqual(await readChainId([first, second]), { chainId: 31_337, rpcUrl: first, silent: [] });
    assert.deepEqual(asked, []);
  });

  it('comes from the first that answers, and tells of each before it what it did', async () => {
    const nodes = [
      await gone(),
      await serve(() => undefined),
      await serve((_request, response) => response.writeHead(500).end('trouble')),
      await serve((_request, response) => response.end('<html>')),
      await nodeOf('not a number'),
      await nodeOf('0x2105'),
    ];
    const { chainId, rpcUrl, silent } = await readChainId(nodes, 300);
    assert.deepEqual([chainId, rpcUrl], [8453, nodes.at(-1)]);
    assert.equal(silent.length, 5);
    for (const [index, problem] of [
      /did not answer/,
      /timeout/,
      /HTTP 500/,
      /not JSON/,
      /not as a quantity/,
    ].entries()) {
      assert.match(silent[index] ?? '', problem);
      assert.ok(silent[index]?.includes(new URL(nodes[index] ?? '').host), silent[index]);
    }
    assert.doesNotMatch(silent.join(), /secret-api-key/);
  });

  it('says of every node what is wrong with it when none answers', async () => {
    const nodes = [await gone(), await serve((_request, response) => response.writeHead(503).end())];
    await assert.rejects(readChainId(nodes, 300), ({ code, message }: { code: string; message: string }) => {
      assert.equal(code, 'RPC_FAILED');
      for (const node of nodes) assert.ok(message.includes(new URL(node).host), message);
      assert.match(message, /Check RPC_URL/);
      assert.doesNotMatch(message, /secret-api-key/);
      return true;
    });
  });
});
