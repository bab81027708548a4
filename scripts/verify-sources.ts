/**
 * `npm run verify:sources -- DIRECTORY [--rpc URL]`: does what a block explorer does with a bundle that `scripts/deploy.ts --sources` wrote.
 * Compiles each input with the pinned compiler, in full, and compares the code with the chain's, immutable values apart, and its creation
 * code with the artifact that was deployed. Takes minutes: the vault's optimiser is thorough. Exit code 1 when anything differs.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createPublicClient, http } from 'viem';
import { compile, readBuild } from './sources/compiler.ts';
import { declaredMetadataHash, metadataHash } from './sources/metadata-hash.ts';
import {
  type BundledContract,
  readBundledInput,
  readSourceBundle,
  withoutImmutables,
} from './sources/source-bundle.ts';

type Code = {
  readonly bytecode: { readonly object: string };
  readonly deployedBytecode: {
    readonly object: string;
    readonly immutableReferences: Parameters<typeof withoutImmutables>[1];
  };
};

const { values, positionals } = parseArgs({ options: { rpc: { type: 'string' } }, allowPositionals: true });
const [directory] = positionals;
if (directory === undefined) {
  console.error('usage: npm run verify:sources -- DIRECTORY [--rpc URL]');
  process.exit(2);
}
const client = values.rpc === undefined ? undefined : createPublicClient({ transport: http(values.rpc) });

let bad = 0;
const compiled = new Map<string, Code>();
for (const bundled of await readSourceBundle(directory)) {
  const complaints = await verify(directory, bundled);
  bad += complaints.length;
  console.log(`${complaints.length === 0 ? '✔' : '✘'} ${bundled.identifier} at ${bundled.address}`);
  for (const complaint of complaints) console.log(`    ${complaint}`);
}
process.exitCode = bad === 0 ? 0 : 1;

async function verify(folder: string, bundled: BundledContract): Promise<string[]> {
  let code = compiled.get(bundled.identifier);
  if (code === undefined) {
    const [source = '', name = ''] = bundled.identifier.split(':');
    const outputs = ['evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.deployedBytecode.immutableReferences'];
    code = compile(await readBundledInput(folder, bundled), { source, name }, outputs)['evm'] as Code;
    compiled.set(bundled.identifier, code);
  }
  const complaints: string[] = [];
  const { artifact } = await readBuild(bundled.artifact);
  if (`0x${code.bytecode.object}` !== artifact.bytecode) complaints.push('the creation code differs from the artifact');
  const { object, immutableReferences } = code.deployedBytecode;
  const metadata = await readFile(join(folder, bundled.metadata), 'utf8');
  if (metadataHash(metadata) !== declaredMetadataHash(object)) complaints.push('the metadata is that of other code');
  if (client === undefined) return complaints;
  const onChain = (await client.getCode({ address: bundled.address })) ?? '0x';
  if (withoutImmutables(onChain, immutableReferences) !== withoutImmutables(object, immutableReferences))
    complaints.push('the code on the chain differs');
  return complaints;
}
