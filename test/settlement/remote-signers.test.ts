import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Hex, hashTypedData } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { type BatchMessage, createDigester } from '../../src/chain/digests.ts';
import { createRowSigner } from '../../src/chain/receipts.ts';
import { ExchangeError } from '../../src/domain/errors.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Address, JournalSequence } from '../../src/domain/units.ts';
import { createRemoteEngineSigner, createRemoteTransactionSigner } from '../../src/settlement/remote-signers.ts';
import { signBatchChecked, signTransactionChecked } from '../../src/settlement/signers.ts';

const account = privateKeyToAccount(`0x${'9a'.repeat(32)}`);
const address = account.address.toLowerCase() as Address;
const digester = createDigester(eip712Domain(31_337, `0x${'11'.repeat(20)}`));
const batch: BatchMessage = {
  id: 7n,
  parent: `0x${'22'.repeat(32)}`,
  contentHash: `0x${'33'.repeat(32)}`,
  epoch: 3n,
  journalSequence: 2n ** 60n,
  journalHash: `0x${'44'.repeat(32)}`,
};
const transaction = {
  chainId: 31_337,
  txNonce: 0,
  to: `0x${'55'.repeat(20)}` as Address,
  data: '0xabcdef' as Hex,
  gasLimit: 1_000_000n,
  maxFeePerGas: 10n ** 10n,
  maxPriorityFeePerGas: 0n,
};

const row = {
  firstSequence: 41 as JournalSequence,
  lastSequence: 52 as JournalSequence,
  merkleRoot: `0x${'77'.repeat(32)}` as Hex,
  hash: `0x${'88'.repeat(32)}` as Hex,
};

/** Signs as web3signer does; `bend` changes what it was asked for before it signs. */
async function startSigner(
  bend: (params: never[]) => unknown[] = (params) => params,
): Promise<{ url: string; server: Server }> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const call = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { id: number; method: string; params: never[] };
    const [first, second] = bend(call.params) as [Record<string, Hex>, never];
    const result =
      call.method === 'eth_signTypedData'
        ? await account.sign({ hash: hashTypedData(second) })
        : await account.signTransaction({
            type: 'eip1559',
            chainId: Number(first['chainId']),
            nonce: Number(first['nonce']),
            to: first['to'] as Hex,
            data: first['data'] as Hex,
            gas: BigInt(first['gas'] as Hex),
            maxFeePerGas: BigInt(first['maxFeePerGas'] as Hex),
            maxPriorityFeePerGas: BigInt(first['maxPriorityFeePerGas'] as Hex),
          });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: call.id, result }));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

describe('remote signers', () => {
  let server: Server;
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  const failsWith = (code: string) => (error: unknown) => error instanceof ExchangeError && error.code === code;

  it('sign batches and transactions that pass the checks', async () => {
    const started = await startSigner();
    server = started.server;
    const signature = await signBatchChecked(createRemoteEngineSigner({ url: started.url, address }), batch, digester);
    assert.equal(signature.length, 130);
    const { raw } = await signTransactionChecked(
      createRemoteTransactionSigner({ url: started.url, address }),
      transaction,
    );
    assert.ok(raw.startsWith('0x02'));
  });

  it('are not believed when they sign something else', async () => {
    const started = await startSigner((params) => {
      const text = JSON.stringify(params).replace('"7"', '"8"').replace('0xabcdef', '0xabcdee');
      return JSON.parse(text) as unknown[];
    });
    server = started.server;
    const engine = createRemoteEngineSigner({ url: started.url, address });
    await assert.rejects(signBatchChecked(engine, batch, digester), failsWith('INTERNAL'));
    const payer = createRemoteTransactionSigner({ url: started.url, address });
    await assert.rejects(signTransactionChecked(payer, transaction), failsWith('INTERNAL'));
  });

  it('are not believed when they sign with another key', async () => {
    const started = await startSigner();
    server = started.server;
    const engine = createRemoteEngineSigner({ url: started.url, address: `0x${'66'.repeat(20)}` });
    await assert.rejects(signBatchChecked(engine, batch, digester), failsWith('INTERNAL'));
  });

  it('may hang: the failure is one to try again', async () => {
    const hanging = createServer(() => undefined);
    await new Promise<void>((listening) => hanging.listen(0, '127.0.0.1', listening));
    server = hanging;
    const url = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
    const engine = createRemoteEngineSigner({ url, address, timeoutMs: 100 });
    await assert.rejects(
      signBatchChecked(engine, batch, digester),
      (error) => error instanceof ExchangeError && error.retryable,
    );
  });

  describe('for receipts', () => {
    const domain = digester.domain;

    it('sign a row as the key itself would, also when the signer was away for a moment', async () => {
      let calls = 0;
      const started = await startSigner((params) => {
        calls += 1;
        if (calls <= 2) throw new Error('away');
        return params;
      });
      server = started.server;
      const engine = createRemoteEngineSigner({ url: started.url, address });
      assert.equal(await engine.signRow(row, domain), await createRowSigner(`0x${'9a'.repeat(32)}`, domain)(row));
      assert.equal(calls, 3);
    });

    it('are not believed when they sign another row, or with another key', async () => {
      const started = await startSigner(
        (params) => JSON.parse(JSON.stringify(params).replace('"52"', '"53"')) as unknown[],
      );
      server = started.server;
      const lying = createRemoteEngineSigner({ url: started.url, address });
      await assert.rejects(lying.signRow(row, domain), failsWith('INTERNAL'));
      const other = createRemoteEngineSigner({ url: started.url, address: `0x${'66'.repeat(20)}` });
      await assert.rejects(other.signRow({ ...row, lastSequence: row.firstSequence }, domain), failsWith('INTERNAL'));
    });
  });
});
