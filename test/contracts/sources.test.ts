import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPublicClient, http, type PublicClient } from 'viem';
import { privateKeyToAddress } from 'viem/accounts';
import { type Deployment, deployPlan, readExtension, readLocalPlan } from '../../scripts/deploy.ts';
import { localKey } from '../../scripts/rehearse.ts';
import { readBuild } from '../../scripts/sources/compiler.ts';
import { declaredMetadataHash, metadataHash } from '../../scripts/sources/metadata-hash.ts';
import {
  type BundledContract,
  readBundledInput,
  readSourceBundle,
  withoutImmutables,
  writeSourceBundle,
} from '../../scripts/sources/source-bundle.ts';
import { testTokenArtifact } from '../../src/chain/generated/test-token.ts';
import { vaultArtifact } from '../../src/chain/generated/vault.ts';
import { vaultTimelockArtifact } from '../../src/chain/generated/vault-timelock.ts';
import type { Address } from '../../src/domain/units.ts';
import { type LocalNode, startLocalNode } from '../../src/services/local-node.ts';

describe('verified sources', function () {
  this.timeout(120_000);
  let node: LocalNode;
  let client: PublicClient;
  let directory: string;
  let deployment: Deployment;
  let bundle: readonly BundledContract[];

  before(async () => {
    node = await startLocalNode();
    directory = await mkdtemp(join(tmpdir(), 'tallystick-sources-'));
    client = createPublicClient({ transport: http(node.rpcUrl), cacheTime: 0 });
    const plan = await readLocalPlan();
    deployment = await deployPlan({ rpcUrl: node.rpcUrl, deployerKey: localKey(), plan });
    const deployer = privateKeyToAddress(localKey()).toLowerCase() as Address;
    const extension = await readExtension(client, deployment.vault);
    await writeSourceBundle({ directory, plan, deployer, deployment: { ...deployment, extension } });
    bundle = await readSourceBundle(directory);
  });
  after(async () => {
    await node.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('name every deployed contract, with the compiler’s version as explorers write it', async () => {
    assert.deepEqual(
      bundle.map(({ contract }) => contract),
      ['Vault', 'VaultExtension', 'VaultTimelock', 'TestWrappedEther', 'TestToken', 'TestToken'],
    );
    for (const { compilerVersion, chainId } of bundle) {
      assert.equal(compilerVersion, 'v0.8.37+commit.f401782d');
      assert.equal(chainId, 31_337);
    }
  });

  it('carry the metadata whose hash stands in the deployed code, and the code is the artifact’s, immutable values apart', async () => {
    for (const bundled of bundle) {
      const code = (await client.getCode({ address: bundled.address })) ?? '0x';
      const metadata = await readFile(join(directory, bundled.metadata), 'utf8');
      assert.equal(metadataHash(metadata), declaredMetadataHash(code), bundled.identifier);
      const { artifact } = await readBuild(bundled.artifact);
      const references = artifact.immutableReferences;
      assert.equal(
        withoutImmutables(code, references),
        withoutImmutables(artifact.deployedBytecode, references),
        bundled.identifier,
      );
    }
  });

  it('hold every source that the metadata names, byte for byte, and the same settings', async () => {
    for (const bundled of bundle) {
      const input = await readBundledInput(directory, bundled);
      const metadata = JSON.parse(await readFile(join(directory, bundled.metadata), 'utf8')) as {
        sources: Record<string, { keccak256: string }>;
        settings: {
          optimizer: { runs: number; details: { yulDetails: unknown } };
          evmVersion: string;
          viaIR: boolean;
        };
      };
      const named = Object.keys(metadata.sources);
      assert.ok(named.length > 0);
      for (const source of named) assert.ok(input.sources[source] !== undefined, `${bundled.contract} lacks ${source}`);
      const { optimizer, evmVersion, viaIR } = input.settings as typeof metadata.settings;
      assert.deepEqual([metadata.settings.evmVersion, metadata.settings.viaIR], [evmVersion, viaIR]);
      const { runs, details } = metadata.settings.optimizer;
      assert.deepEqual([runs, details.yulDetails], [optimizer.runs, optimizer.details.yulDetails]);
    }
  });

  it('encode the constructor’s arguments as the deploying transactions carried them', async () => {
    const created = new Map<string, string>();
    const latest = await client.getBlockNumber();
    for (let number = 0n; number <= latest; number++) {
      const { transactions } = await client.getBlock({ blockNumber: number, includeTransactions: true });
      for (const { hash, to, input } of transactions) {
        const receipt = to === null ? await client.getTransactionReceipt({ hash }) : undefined;
        if (receipt?.contractAddress) created.set(receipt.contractAddress.toLowerCase(), input);
      }
    }
    const creation = new Map<string, string>([
      ['Vault', vaultArtifact.bytecode],
      ['VaultTimelock', vaultTimelockArtifact.bytecode],
      ['TestToken', testTokenArtifact.bytecode],
    ]);
    let compared = 0;
    for (const { contract, address, constructorArguments } of bundle) {
      const code = creation.get(contract);
      if (code === undefined) continue;
      assert.equal(created.get(address), `${code}${constructorArguments}`, contract);
      compared++;
    }
    assert.equal(compared, 4);
    // The vault itself creates its extension: with the same parameters, and its own address.
    const [vault, extension] = bundle as [BundledContract, BundledContract];
    const own = deployment.vault.slice(2).padStart(64, '0');
    assert.equal(extension.constructorArguments, `${vault.constructorArguments}${own}`);
  });
});
