/**
 * Deploys the vault with Hardhat Ignition from one parameter file and the generated artifacts: nothing compiles at run time.
 *
 *   RPC_URL=… DEPLOYER_KEY=0x… npm run deploy -- ignition/parameters/local.json [--sources DIRECTORY]
 *
 * With --sources it writes what block explorers ask for to show the sources (sources/source-bundle.ts); that needs the contracts compiled. With DEPLOYMENT_DIRECTORY set, Ignition keeps its journal there and resumes a deployment that was interrupted.
 */
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { ArtifactResolver, EIP1193Provider } from '@nomicfoundation/ignition-core';
import { DeploymentResultType, deploy } from '@nomicfoundation/ignition-core';
import {
  createPublicClient,
  createWalletClient,
  type Hex,
  http,
  type PublicClient,
  type TransactionRequest,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { vaultModule } from '../ignition/modules/vault.ts';
import type { DeploymentPlan } from '../ignition/plan.ts';
import { testTokenArtifact } from '../src/chain/generated/test-token.ts';
import { testWrappedEtherArtifact } from '../src/chain/generated/test-wrapped-ether.ts';
import { vaultAbi, vaultArtifact } from '../src/chain/generated/vault.ts';
import { vaultTimelockArtifact } from '../src/chain/generated/vault-timelock.ts';
import type { Address, Hash } from '../src/domain/units.ts';

export type Deployment = {
  readonly chainId: number;
  readonly vault: Address;
  readonly timelock: Address;
  /** By symbol, in order of listing. */
  readonly tokens: Readonly<Record<string, Address>>;
  /** Unix seconds; sequences count from here. */
  readonly deployedAt: number;
  /** Block in which the vault was deployed: indexers start here. */
  readonly deploymentBlock: { readonly number: number; readonly hash: Hash };
};

const ARTIFACTS = [vaultArtifact, vaultTimelockArtifact, testTokenArtifact, testWrappedEtherArtifact];
const LOCAL_PLAN = new URL('../ignition/parameters/local.json', import.meta.url);

const artifactResolver: ArtifactResolver = {
  loadArtifact: (name) => {
    const artifact = ARTIFACTS.find(({ contractName }) => contractName === name);
    if (artifact === undefined) return Promise.reject(new RangeError(`no generated artifact is called ${name}`));
    return Promise.resolve({ _format: 'hh3-artifact-1', linkReferences: {}, ...artifact } as never);
  },
  getBuildInfo: () => Promise.resolve(undefined),
};

export async function readPlan(file: string | URL): Promise<DeploymentPlan> {
  return JSON.parse(await readFile(file, 'utf8'));
}

/** The plan of ignition/parameters/local.json, which deploys tokens of its own. */
export async function readLocalPlan(): Promise<DeploymentPlan> {
  return readPlan(LOCAL_PLAN);
}

/** Deploys the plan of ignition/parameters/local.json, test tokens included, with some of it replaced. */
export async function deployLocal(options: {
  readonly rpcUrl: string;
  readonly deployerKey: Hex;
  readonly overrides?: Partial<DeploymentPlan>;
}): Promise<Deployment> {
  const plan = { ...(await readLocalPlan()), ...options.overrides };
  return deployPlan({ rpcUrl: options.rpcUrl, deployerKey: options.deployerKey, plan });
}

/** @throws Error with what Ignition reports when it does not succeed. */
export async function deployPlan(options: {
  readonly rpcUrl: string;
  readonly deployerKey: Hex;
  readonly plan: DeploymentPlan;
  readonly deploymentDirectory?: string;
}): Promise<Deployment> {
  const { plan, rpcUrl, deployerKey, deploymentDirectory } = options;
  const account = privateKeyToAccount(deployerKey);
  const result = await deploy({
    artifactResolver,
    provider: signingProvider(rpcUrl, deployerKey),
    ignitionModule: vaultModule(plan, account.address),
    deploymentParameters: {},
    accounts: [account.address],
    config: { requiredConfirmations: 1, blockPollingInterval: 50 },
    ...(deploymentDirectory === undefined ? {} : { deploymentDir: deploymentDirectory }),
  });
  if (result.type !== DeploymentResultType.SUCCESSFUL_DEPLOYMENT) {
    throw new Error(`the deployment did not succeed: ${JSON.stringify(result)}`);
  }
  const address = (id: string): Address => {
    const contract = result.contracts[`Tallystick#${id}`];
    if (contract === undefined) throw new Error(`Ignition does not know ${id} among what it deployed`);
    return contract.address.toLowerCase() as Address;
  };
  const tokens = plan.assets.map(
    ({ symbol, token }) => [symbol, token === 'deploy' ? address(symbol) : token] as const,
  );
  const vault = address('Vault');
  const placed = await readDeployment(rpcUrl, vault);
  return {
    ...placed,
    vault,
    timelock: address('VaultTimelock'),
    tokens: Object.fromEntries(tokens) as Record<string, Address>,
  };
}

async function readDeployment(
  rpcUrl: string,
  vault: Address,
): Promise<Pick<Deployment, 'chainId' | 'deployedAt' | 'deploymentBlock'>> {
  const client = createPublicClient({ transport: http(rpcUrl) });
  const [chainId, deployedAt, latest] = await Promise.all([
    client.getChainId(),
    client.readContract({ address: vault, abi: vaultAbi, functionName: 'DEPLOYED_AT' }),
    client.getBlockNumber({ cacheTime: 0 }),
  ]);
  // The first block with the vault's time holds its deployment, or comes before it; it is a few blocks back at most.
  let block = await client.getBlock({ blockNumber: latest });
  while (block.timestamp > deployedAt || (block.number > 0n && (await parentTime(block.number)) === deployedAt)) {
    block = await client.getBlock({ blockNumber: block.number - 1n });
  }
  return {
    chainId,
    deployedAt: Number(deployedAt),
    deploymentBlock: { number: Number(block.number), hash: block.hash },
  };

  async function parentTime(number: bigint): Promise<bigint> {
    return (await client.getBlock({ blockNumber: number - 1n })).timestamp;
  }
}

/** What Ignition asks of a wallet is answered here with the deployer's key; the node needs to know no keys. */
function signingProvider(rpcUrl: string, deployerKey: Hex): EIP1193Provider {
  const account = privateKeyToAccount(deployerKey);
  const wallet = createWalletClient({ account, transport: http(rpcUrl) });
  return {
    request: async ({ method, params }) => {
      if (method === 'eth_accounts') return [account.address];
      if (method !== 'eth_sendTransaction') return wallet.request({ method, params } as never);
      const [sent] = params as [Record<string, Hex | undefined>];
      const chainId = await wallet.getChainId();
      const request = {
        chainId,
        to: sent['to'],
        data: sent['data'],
        value: BigInt(sent['value'] ?? '0x0'),
        nonce: Number(sent['nonce']),
        gas: BigInt(sent['gas'] ?? sent['gasLimit'] ?? '0x0'),
        ...(sent['gasPrice'] === undefined
          ? {
              maxFeePerGas: BigInt(sent['maxFeePerGas'] ?? '0x0'),
              maxPriorityFeePerGas: BigInt(sent['maxPriorityFeePerGas'] ?? '0x0'),
            }
          : { gasPrice: BigInt(sent['gasPrice']) }),
      } as TransactionRequest & { chainId: number };
      const serializedTransaction = await account.signTransaction(request as never);
      return wallet.sendRawTransaction({ serializedTransaction });
    },
  };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { sources: { type: 'string' } }, allowPositionals: true });
  const { RPC_URL: rpcUrl, DEPLOYER_KEY: deployerKey, DEPLOYMENT_DIRECTORY: deploymentDirectory } = process.env;
  if (rpcUrl === undefined || deployerKey === undefined) throw new Error('set RPC_URL and DEPLOYER_KEY');
  const plan = await readPlan(positionals[0] ?? LOCAL_PLAN);
  const deployment = await deployPlan({
    rpcUrl,
    deployerKey: deployerKey as Hex,
    plan,
    ...(deploymentDirectory === undefined ? {} : { deploymentDirectory }),
  });
  if (values.sources !== undefined) {
    const client = createPublicClient({ transport: http(rpcUrl) });
    const extension = await readExtension(client, deployment.vault);
    const deployer = privateKeyToAccount(deployerKey as Hex).address.toLowerCase() as Address;
    // Only here: running a vault needs no compiler.
    const { writeSourceBundle } = await import('./sources/source-bundle.ts');
    await writeSourceBundle({ directory: values.sources, plan, deployer, deployment: { ...deployment, extension } });
  }
  console.log(JSON.stringify(deployment, undefined, 2));
}

/** The contract that holds the rest of the vault's code. */
export async function readExtension(client: PublicClient, vault: Address): Promise<Address> {
  const extension = await client.readContract({ address: vault, abi: vaultAbi, functionName: 'EXTENSION' });
  return extension.toLowerCase() as Address;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
