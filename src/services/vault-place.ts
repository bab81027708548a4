/** Where the vault is and what it was deployed with: read from the chain once at start, fixed for the life of the process. */
import { createPublicClient, http, type PublicClient, parseAbi } from 'viem';
import type { ChainFacts } from '../api/context.ts';
import { ExchangeError } from '../domain/errors.ts';
import { eip712Domain } from '../domain/typed-data.ts';
import type { Address, TimestampMs } from '../domain/units.ts';

const FACTS_ABI = parseAbi([
  'function DEPLOYED_AT() view returns (uint64)',
  'function EXIT_DELAY() view returns (uint64)',
  'function GRACE() view returns (uint64)',
  'function WRAPPED_NATIVE() view returns (address)',
]);

/** @throws ExchangeError CONFIGURATION when the address holds no vault. */
export async function readChainFacts(options: {
  rpcUrl: string;
  vault: Address;
  engine: Address | undefined;
  publicRpcUrl: string | undefined;
}): Promise<ChainFacts> {
  const { rpcUrl, vault, engine, publicRpcUrl } = options;
  const client = createPublicClient({ transport: http(rpcUrl) }) as PublicClient;
  const read = (functionName: 'DEPLOYED_AT' | 'EXIT_DELAY' | 'GRACE'): Promise<bigint> =>
    client.readContract({ address: vault, abi: FACTS_ABI, functionName });
  const [chainId, code] = await Promise.all([client.getChainId(), client.getCode({ address: vault })]);
  if (code === undefined) {
    throw new ExchangeError(
      'CONFIGURATION',
      `There is no contract at ${vault} on chain ${chainId}. Check VAULT_ADDRESS and RPC_URL.`,
    );
  }
  const [deployedAt, exitDelay, grace, wrappedNative] = await Promise.all([
    read('DEPLOYED_AT'),
    read('EXIT_DELAY'),
    read('GRACE'),
    client.readContract({ address: vault, abi: FACTS_ABI, functionName: 'WRAPPED_NATIVE' }),
  ]);
  return {
    chainId,
    vault,
    domain: eip712Domain(chainId, vault),
    deployedAtMs: (Number(deployedAt) * 1000) as TimestampMs,
    deploymentBlock: await blockOfTime(client, deployedAt),
    engine,
    exitDelaySeconds: Number(exitDelay),
    graceSeconds: Number(grace),
    wrappedNative: wrappedNative.toLowerCase() as Address,
    publicRpcUrl,
  };
}

/** Number of the first block with that timestamp: where the vault was deployed. Times never fall from block to block. */
async function blockOfTime(client: PublicClient, timestamp: bigint): Promise<number> {
  let low = 0n;
  let high = await client.getBlockNumber();
  while (low < high) {
    const middle = (low + high) / 2n;
    const block = await client.getBlock({ blockNumber: middle });
    if (block.timestamp < timestamp) low = middle + 1n;
    else high = middle;
  }
  return Number(low);
}
