/**
 * What Etherscan, Blockscout and Sourcify ask for to show a contract's sources: the compiler's standard JSON input, its version, the contract's
 * name in that input, the ABI-encoded constructor arguments, and the metadata whose hash stands at the end of the deployed code.
 *
 *   sources/contracts.json          one entry for each deployed contract
 *   sources/Vault.input.json        standard JSON input
 *   sources/Vault.metadata.json
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Abi, encodeAbiParameters } from 'viem';
import type { DeploymentPlan } from '../../ignition/plan.ts';
import type { Address, Hex } from '../../src/domain/units.ts';
import type { Deployment } from '../deploy.ts';
import { type Build, type CompilerInput, compileBuild, readBuild } from './compiler.ts';

export type BundledContract = {
  readonly contract: string;
  readonly address: Address;
  readonly chainId: number;
  /** As Etherscan and Sourcify name it: source, colon, contract. */
  readonly identifier: string;
  readonly compilerVersion: string;
  /** Without 0x, as the explorers' forms take it. */
  readonly constructorArguments: string;
  /** File names beside contracts.json. */
  readonly input: string;
  readonly metadata: string;
  /** Below artifacts/contracts, to compare with what was compiled here. */
  readonly artifact: string;
};

/** Deployed contracts, by what Ignition calls them or by symbol, with their constructor arguments. */
function contractsOf(
  plan: DeploymentPlan,
  deployer: Address,
  deployment: Deployment & { readonly extension: Address },
): readonly { readonly artifact: string; readonly address: Address; readonly args: readonly unknown[] }[] {
  const resolve = (who: string): string => (who === 'deployer' ? deployer : who);
  const parameters = {
    governance: deployer,
    guardian: resolve(plan.guardian),
    feeCollector: resolve(plan.feeCollector),
    engineKey: resolve(plan.engineKey),
    wrappedNative: deployment.tokens[plan.wrappedNative] ?? plan.wrappedNative,
    permit2: plan.permit2,
    grace: BigInt(plan.grace),
    exitDelay: BigInt(plan.exitDelay),
    timelockDelay: BigInt(plan.timelockDelay),
    takerFeePpm: plan.takerFeePpm,
    makerFeePpm: plan.makerFeePpm,
  };
  const { proposers, executors } = plan.governance;
  const tokens = plan.assets
    .filter(({ token }) => token === 'deploy')
    .map(({ symbol, decimals }) => ({
      artifact: `mocks/TestToken.sol/${symbol === plan.wrappedNative ? 'TestWrappedEther' : 'TestToken'}`,
      address: deployment.tokens[symbol] as Address,
      args: symbol === plan.wrappedNative ? [] : [symbol, symbol, decimals],
    }));
  return [
    { artifact: 'Vault.sol/Vault', address: deployment.vault, args: [parameters] },
    {
      artifact: 'VaultExtension.sol/VaultExtension',
      address: deployment.extension,
      args: [parameters, deployment.vault],
    },
    {
      artifact: 'VaultTimelock.sol/VaultTimelock',
      address: deployment.timelock,
      args: [BigInt(plan.timelockDelay), proposers.map(resolve), executors.map(resolve)],
    },
    ...tokens,
  ];
}

function encodeArguments(build: Build, args: readonly unknown[]): string {
  const item = (build.artifact.abi as Abi).find(({ type }) => type === 'constructor');
  const inputs = item !== undefined && 'inputs' in item ? item.inputs : [];
  return encodeAbiParameters(inputs, args).slice(2);
}

/** Writes the bundle of a deployment. @throws Error when the contracts have not been compiled here */
export async function writeSourceBundle(options: {
  readonly directory: string;
  readonly plan: DeploymentPlan;
  readonly deployer: Address;
  readonly deployment: Deployment & { readonly extension: Address };
}): Promise<readonly BundledContract[]> {
  const { directory, plan, deployer, deployment } = options;
  await mkdir(directory, { recursive: true });
  const bundled: BundledContract[] = [];
  for (const { artifact, address, args } of contractsOf(plan, deployer, deployment)) {
    const build = await readBuild(artifact);
    const { contractName: contract, inputSourceName } = build.artifact;
    const [input, metadata] = [`${contract}.input.json`, `${contract}.metadata.json`];
    if (!bundled.some((known) => known.contract === contract)) {
      await writeFile(join(directory, input), JSON.stringify(build.input, undefined, 2));
      await writeFile(join(directory, metadata), String(compileBuild(build, ['metadata'])['metadata']));
    }
    bundled.push({
      contract,
      address,
      chainId: deployment.chainId,
      identifier: `${inputSourceName}:${contract}`,
      compilerVersion: `v${build.compilerVersion}`,
      constructorArguments: encodeArguments(build, args),
      input,
      metadata,
      artifact,
    });
  }
  await writeFile(join(directory, 'contracts.json'), `${JSON.stringify(bundled, undefined, 2)}\n`);
  return bundled;
}

export async function readSourceBundle(directory: string): Promise<readonly BundledContract[]> {
  return JSON.parse(await readFile(join(directory, 'contracts.json'), 'utf8')) as readonly BundledContract[];
}

export async function readBundledInput(directory: string, { input }: BundledContract): Promise<CompilerInput> {
  return JSON.parse(await readFile(join(directory, input), 'utf8')) as CompilerInput;
}

/** Code with the bytes of immutable values set to zero: what is left depends on the sources alone. */
export function withoutImmutables(
  code: string,
  references: Readonly<Record<string, readonly { readonly start: number; readonly length: number }[]>>,
): Hex {
  const bytes = Buffer.from(code.replace(/^0x/, ''), 'hex');
  for (const { start, length } of Object.values(references).flat()) bytes.fill(0, start, start + length);
  return `0x${bytes.toString('hex')}`;
}
