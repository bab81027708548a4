import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createPublicClient, createWalletClient, http, parseEther, type WalletClient } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { anvil } from 'viem/chains';
import {
  LOCAL_MNEMONIC,
  type LocalNode,
  type LocalNodeOptions,
  startLocalNode,
} from '../../src/services/local-node.ts';
import { useTemporaryDirectory } from '../support/temporary-directory.ts';

const RECIPIENT = '0x00000000000000000000000000000000000a11ce';
const account = mnemonicToAccount(LOCAL_MNEMONIC);

const publicClient = (node: { rpcUrl: string }) =>
  createPublicClient({ chain: anvil, transport: http(node.rpcUrl), pollingInterval: 50 });

async function pay(node: { rpcUrl: string }): Promise<void> {
  const wallet: WalletClient = createWalletClient({ transport: http(node.rpcUrl) });
  const hash = await wallet.sendTransaction({ account, chain: anvil, to: RECIPIENT, value: parseEther('1') });
  const receipt = await publicClient(node).waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, 'success');
}

describe('local node', () => {
  const directory = useTemporaryDirectory();
  const running: LocalNode[] = [];
  const start = async (options: LocalNodeOptions = {}): Promise<LocalNode> => {
    const node = await startLocalNode(options);
    running.push(node);
    return node;
  };
  after(async () => {
    for (const node of running) await node.stop();
  });

  it('serves chain 31337, funds the accounts of the mnemonic, and finalizes two blocks behind its head', async () => {
    const node = await start({ accounts: 3, balanceEther: 5 });
    const client = publicClient(node);
    assert.equal(await client.getChainId(), 31_337);
    const last = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 2 });
    const unfunded = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 3 });
    assert.equal(await client.getBalance({ address: last.address }), parseEther('5'));
    assert.equal(await client.getBalance({ address: unfunded.address }), 0n);
    for (let block = 1; block <= 3; block++) await pay(node);
    assert.equal((await client.getBlock({ blockTag: 'finalized' })).number, 1n);
    await node.stop();
    await node.stop();
  });

  it('mines on its own at the block time given', async () => {
    const node = await start({ blockTimeSeconds: 1 });
    const deadlineMs = performance.now() + 10_000;
    while ((await publicClient(node).getBlockNumber({ cacheTime: 0 })) < 2n) assert.ok(performance.now() < deadlineMs);
    await node.stop();
  });

  it('refuses a transaction above the gas that the real network allows', async () => {
    const node = await start();
    const wallet = createWalletClient({ transport: http(node.rpcUrl) });
    await assert.rejects(wallet.sendTransaction({ account, chain: anvil, to: RECIPIENT, gas: 16_777_217n }));
    await node.stop();
  });

  it('continues the same chain after it was stopped, and after its process was killed', async () => {
    const stateFile = join(directory.path(), 'chain', 'state.json');
    const first = await start({ stateFile });
    await pay(first);
    const { hash } = await publicClient(first).getBlock({ blockNumber: 1n });
    await first.stop();

    const module = new URL('../../src/services/local-node.ts', import.meta.url).href;
    const source = `
      const { startLocalNode } = await import(${JSON.stringify(module)});
      const node = await startLocalNode(${JSON.stringify({ stateFile })});
      console.log(node.rpcUrl);
      process.on('disconnect', () => undefined);`;
    const starter = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    const [line] = (await once(starter.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    const rpcUrl = line.toString().trim();
    await pay({ rpcUrl });
    starter.kill('SIGKILL');
    await once(starter, 'exit');

    const third = await start({ stateFile });
    const client = publicClient(third);
    assert.equal(await client.getBalance({ address: RECIPIENT }), parseEther('2'), 'nothing was lost');
    assert.equal((await client.getBlock({ blockNumber: 1n })).hash, hash, 'it is the same chain');
    assert.equal(await client.getBlockNumber(), 2n);
    await assert.rejects(fetch(rpcUrl), 'the node of the killed process has ended');
    await third.stop();
  });

  it('says what is wrong with a port that is taken and a state file that was cut off', async () => {
    const node = await start();
    await assert.rejects(startLocalNode({ port: node.port, chainId: 4_242 }), {
      code: 'CONFIGURATION',
      message: `Port ${node.port} is taken: stop what listens there, or choose another port for the local node.`,
    });
    await node.stop();

    const stateFile = join(directory.path(), 'cut-off.json');
    await writeFile(stateFile, '{"block": {"number":');
    await assert.rejects(startLocalNode({ stateFile }), {
      code: 'CONFIGURATION',
      message: /Delete the data directory/,
    });
  });
});
