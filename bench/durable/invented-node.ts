/** Says what the engine asks of a node: the vault stands at its beginning, and gas costs the same in every block. */
import { encodeFunctionResult } from 'viem';
import { INSPECT_ABI } from '../../src/chain/inspect-vault.ts';
import type { RpcEndpoint, RpcPool } from '../../src/chain/rpc-pool.ts';
import type { Address } from '../../src/domain/units.ts';

const WORD = `0x${'00'.repeat(32)}` as const;

export function createInventedNode(engineKey: Address): RpcPool {
  const answers: Readonly<Record<string, unknown>> = {
    eth_getBlockByNumber: { hash: WORD },
    eth_call: encodeFunctionResult({
      abi: INSPECT_ABI,
      functionName: 'inspect',
      result: {
        batchId: 0n,
        batchHash: WORD,
        epoch: 1n,
        eventSequence: 0n,
        pausedUntil: 0n,
        engineKey,
        assets: [],
        accounts: [],
      },
    }),
    eth_feeHistory: { baseFeePerGas: ['0x1', '0x1'] },
  };
  const request = async (method: string): Promise<unknown> => {
    const answer = answers[method];
    if (answer === undefined) throw new Error(`the benchmark has no answer to ${method}`);
    return answer;
  };
  const endpoint: RpcEndpoint = {
    name: 'invented',
    request,
    batch: (calls) => Promise.all(calls.map(({ method }) => request(method))),
  };
  return { run: (work) => work(endpoint), endpoints: [endpoint], health: () => [] };
}
