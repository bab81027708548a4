/**
 * Which chain and which vault this database belongs to. Recorded at the first start, checked at every start and against every node: a
 * node of another chain, or of a new genesis under the same chain id, must never be followed.
 */
import type { RpcEndpoint } from '../chain/rpc-pool.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Address, Hash } from '../domain/units.ts';
import type { ChainIdentity } from './chain-steps.ts';
import { blockByNumber, parseHeader } from './read-blocks.ts';

export type VaultPlace = { readonly vault: Address; readonly deploymentBlock: number };

/** Reads the identity from a node. @throws ExchangeError CHAIN_MISMATCH when the node has no such vault. */
export async function readChainIdentity(endpoint: RpcEndpoint, place: VaultPlace): Promise<ChainIdentity> {
  const [chainId, genesis, deployment, code] = await endpoint.batch([
    { method: 'eth_chainId', params: [] },
    blockByNumber(0),
    blockByNumber(place.deploymentBlock),
    { method: 'eth_getCode', params: [place.vault, 'latest'] },
  ]);
  const genesisHeader = parseHeader(genesis);
  const block = parseHeader(deployment);
  if (genesisHeader === undefined || block === undefined || code === '0x') {
    throw new ExchangeError(
      'CHAIN_MISMATCH',
      `${endpoint.name} has no vault ${place.vault} deployed in block ${place.deploymentBlock}`,
      {
        details: { vault: place.vault, deploymentBlock: place.deploymentBlock, node: endpoint.name },
      },
    );
  }
  return {
    chainId: Number(chainId),
    genesisHash: genesisHeader.hash,
    vault: place.vault,
    deploymentBlock: block.number,
    deploymentBlockHash: block.hash,
    deploymentParentHash: block.parentHash as Hash,
    deployedAt: block.timestamp,
  };
}

/** @throws ExchangeError CHAIN_MISMATCH naming every field that differs. */
export function requireSameChain(expected: ChainIdentity, got: ChainIdentity, source: string): void {
  const fields = ['chainId', 'vault', 'deploymentBlock', 'deploymentBlockHash', 'genesisHash'] as const;
  const differences = fields.filter((field) => expected[field] !== got[field]);
  // The deployment block's hash commits to every block before it. A local node that was restarted may show another block 0 beneath the same
  // chain: it makes one anew at each start and keeps the old ones.
  if (differences.every((field) => field === 'genesisHash')) return;
  const list = differences.map((field) => `${field} is ${got[field]} instead of ${expected[field]}`).join(', ');
  throw new ExchangeError('CHAIN_MISMATCH', `${source} serves another chain than the one recorded: ${list}`, {
    details: { expected, got, differences },
  });
}
