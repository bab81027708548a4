/** Where the vault is and what it was deployed with: read from the chain once at start, fixed for the life of the process. */
import { createPublicClient, http, type PublicClient, parseAbi } from 'viem';
import type { ChainFacts } from '../api/context.ts';
import type { Finality } from '../chain/finality.ts';
import { inspectVault } from '../chain/inspect-vault.ts';
import { createRpcEndpoint } from '../chain/rpc-pool.ts';
import { ExchangeError } from '../domain/errors.ts';
import { eip712Domain } from '../domain/typed-data.ts';
import type { Address, TimestampMs } from '../domain/units.ts';
import { loadChainIdentity } from '../indexer/store-chain.ts';
import { openDatabase } from '../storage/database.ts';
import type { Settings } from './config.ts';
import { LOCAL_CHAIN_ID } from './local-node.ts';

const FACTS_ABI = parseAbi([
  'function DEPLOYED_AT() view returns (uint64)',
  'function EXIT_DELAY() view returns (uint64)',
  'function GRACE() view returns (uint64)',
  'function WRAPPED_NATIVE() view returns (address)',
]);

/** Fewer confirmations than this are for the local chain only: what was credited must not vanish in a reorganisation. */
const CONFIRMATIONS_MIN = 12;

type VaultPlace = { readonly vault: Address; readonly publicRpcUrl: string | undefined };

/**
 * From the first node that answers: a process that starts while the preferred one is away needs it as little as one that runs.
 * @throws ExchangeError CONFIGURATION when the address holds no vault; the last node's failure when none answers
 */
export async function readChainFacts({
  rpcUrls,
  ...place
}: VaultPlace & { readonly rpcUrls: readonly string[] }): Promise<ChainFacts> {
  let failure: unknown = new ExchangeError('CONFIGURATION', 'RPC_URL names no node.');
  for (const rpcUrl of rpcUrls) {
    try {
      return await readChainFactsFrom(rpcUrl, place);
    } catch (error) {
      if (error instanceof ExchangeError && error.code === 'CONFIGURATION') throw error;
      failure = error;
    }
  }
  throw failure;
}

async function readChainFactsFrom(rpcUrl: string, { vault, publicRpcUrl }: VaultPlace): Promise<ChainFacts> {
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
  const head = await client.getBlock();
  const [deployedAt, exitDelay, grace, wrappedNative, state] = await Promise.all([
    read('DEPLOYED_AT'),
    read('EXIT_DELAY'),
    read('GRACE'),
    client.readContract({ address: vault, abi: FACTS_ABI, functionName: 'WRAPPED_NATIVE' }),
    inspectVault(createRpcEndpoint(rpcUrl), vault, [], head.hash),
  ]);
  return {
    chainId,
    vault,
    domain: eip712Domain(chainId, vault),
    deployedAtMs: (Number(deployedAt) * 1000) as TimestampMs,
    deploymentBlock: await blockOfTime(client, deployedAt),
    engine: state.engineKey,
    exitDelaySeconds: Number(exitDelay),
    graceSeconds: Number(grace),
    wrappedNative: wrappedNative.toLowerCase() as Address,
    publicRpcUrl,
  };
}

/**
 * Number of the first block with that timestamp: where the vault was deployed. Times never fall from block to block. Block 0 holds no
 * transactions, and is left out: a local node that loaded its state may show a new one with the time of its start.
 */
async function blockOfTime(client: PublicClient, timestamp: bigint): Promise<number> {
  let low = 1n;
  let high = await client.getBlockNumber();
  while (low < high) {
    const middle = (low + high) / 2n;
    const block = await client.getBlock({ blockNumber: middle });
    if (block.timestamp < timestamp) low = middle + 1n;
    else high = middle;
  }
  return Number(low);
}

/** The vault that this database belongs to; undefined before the first start. */
export async function recordedVault(databaseUrl: string): Promise<Address | undefined> {
  const pool = openDatabase({ url: databaseUrl, applicationName: 'tallystick-start', connectionsMax: 1 });
  try {
    return (await loadChainIdentity(pool))?.vault;
  } finally {
    await pool.end();
  }
}

/** What the settings say, else two blocks on the local chain and the node's `finalized` tag elsewhere. */
export function finalityOf(settings: Settings, chainId: number): Finality {
  const given = settings.FINALITY ?? (chainId === LOCAL_CHAIN_ID ? '2' : 'finalized');
  if (chainId !== LOCAL_CHAIN_ID && given !== 'finalized' && Number(given) < CONFIRMATIONS_MIN) {
    throw new ExchangeError(
      'CONFIGURATION',
      `FINALITY is ${given}: on chain ${chainId} it must be "finalized" or at least ${CONFIRMATIONS_MIN} confirmations.`,
    );
  }
  return given === 'finalized' ? { kind: 'tag', tag: 'finalized' } : { kind: 'confirmations', count: Number(given) };
}

/** @throws ExchangeError CONFIGURATION when the vault takes batches from another key */
export function requireActiveKey(active: Address | undefined, ours: Address): void {
  if (active === ours) return;
  throw new ExchangeError(
    'CONFIGURATION',
    `The vault's active engine key is ${active ?? 'none'}, ours is ${ours}: register ours, or set ENGINE_PRIVATE_KEY to the active one.`,
  );
}
