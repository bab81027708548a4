/**
 * The smallest contract that numbers its events as the vault does: called with n bytes (not 4) it emits n events, each with the next number;
 * called with 4 bytes it returns the last number. For tests of the indexer that need many events cheaply.
 */
import { createRpcEndpoint, type RpcEndpoint } from '../../src/chain/rpc-pool.ts';
import type { VaultReader } from '../../src/chain/vault-reader.ts';
import type { Address, ChainEventSequence, Hash, Hex } from '../../src/domain/units.ts';

/**
 *  0: if CALLDATASIZE = 4 jump 39        7: n = CALLDATASIZE
 *  8: loop: if n = 0 jump 37             14: slot 0 += 1; memory 0 = slot 0; LOG1(topic 1, memory 0…32); n −= 1; jump 8
 * 37: stop                               39: return slot 0
 */
const RUNTIME = '36600414602757365b80156025575f54600101805f555f52600160205fa1600190036008565b005b5f545f5260205ff3';
const CODE: Hex = `0x60308060095f395ff3${RUNTIME}`;

export type NumberedContract = {
  readonly rpc: RpcEndpoint;
  readonly address: Address;
  readonly deploymentBlock: number;
  readonly reader: VaultReader;
  /** Sends one transaction that emits `count` events (not 4); it is mined as the node is set to. */
  readonly emit: (count: number) => Promise<Hash>;
  readonly mine: (blocks: number) => Promise<void>;
};

export function readerOf(address: Address): VaultReader {
  return {
    vault: address,
    decodeLog: ({ data }) => ({
      eventSequence: Number(data) as ChainEventSequence,
      fact: { kind: 'chainEventNoted', name: 'Numbered' },
    }),
    lastEventCall: '0x00000000',
    decodeLastEvent: (answer) => Number(answer === '0x' ? 0 : answer) as ChainEventSequence,
  };
}

/** Deploys it from the node's first account. */
export async function deployNumberedContract(rpcUrl: string): Promise<NumberedContract> {
  const rpc = createRpcEndpoint(rpcUrl);
  const [from] = (await rpc.request('eth_accounts', [])) as [Address];
  const deployment = (await rpc.request('eth_sendTransaction', [{ from, data: CODE, gas: '0x30000' }])) as Hash;
  await rpc.request('evm_mine', []);
  const receipt = (await rpc.request('eth_getTransactionReceipt', [deployment])) as {
    contractAddress: Address;
    blockNumber: Hex;
  };
  const address = receipt.contractAddress.toLowerCase() as Address;
  return {
    rpc,
    address,
    deploymentBlock: Number(receipt.blockNumber),
    reader: readerOf(address),
    emit: async (count) => {
      const data = `0x${'01'.repeat(count)}`;
      const gas = `0x${(60_000 + count * 4_000).toString(16)}`;
      return (await rpc.request('eth_sendTransaction', [{ from, to: address, data, gas }])) as Hash;
    },
    mine: async (blocks) => {
      await rpc.request('anvil_mine', [`0x${blocks.toString(16)}`]);
    },
  };
}
