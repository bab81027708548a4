/** The pinned compiler on the very input that the artifacts were made from: in full, or only as far as documentation, layout and metadata need. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PROJECT_DIRECTORY } from '../run-command.ts';

/** Standard JSON input of the compiler. */
export type CompilerInput = {
  readonly language: string;
  readonly sources: Readonly<Record<string, { readonly content: string }>>;
  readonly settings: Readonly<Record<string, unknown>>;
};
export type Artifact = {
  readonly contractName: string;
  /** `project/contracts/Vault.sol`: the name in the compiler's input. */
  readonly inputSourceName: string;
  readonly abi: readonly AbiItem[];
  readonly bytecode: string;
  readonly deployedBytecode: string;
  /** Where the constructor writes immutable values into the code. */
  readonly immutableReferences: Readonly<
    Record<string, readonly { readonly start: number; readonly length: number }[]>
  >;
  readonly buildInfoId: string;
};
type AbiParameter = { readonly type: string; readonly name: string; readonly components?: readonly AbiParameter[] };
export type AbiItem = {
  readonly type: string;
  readonly name?: string;
  readonly stateMutability?: string;
  readonly inputs?: readonly AbiParameter[];
  readonly outputs?: readonly AbiParameter[];
};
export type Build = { readonly artifact: Artifact; readonly compilerVersion: string; readonly input: CompilerInput };
/** What the compiler gives for one contract, as far as it was asked for. */
export type Compiled = Readonly<Record<string, unknown>>;

const ARTIFACTS = join(PROJECT_DIRECTORY, 'artifacts');

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}

/**
 * The artifact of a contract with the input that it was compiled from.
 *
 * @param source `Vault.sol/Vault`, below contracts/
 * @throws Error when the contracts have not been compiled
 */
export async function readBuild(source: string): Promise<Build> {
  const artifact = await readJson<Artifact>(join(ARTIFACTS, 'contracts', `${source}.json`)).catch((cause: unknown) => {
    throw new Error(`${source} has no artifact: run npm run compile first`, { cause });
  });
  const build = await readJson<{ solcLongVersion: string; input: CompilerInput }>(
    join(ARTIFACTS, 'build-info', `${artifact.buildInfoId}.json`),
  );
  return { artifact, compilerVersion: build.solcLongVersion, input: build.input };
}

/**
 * Compiles one contract of an input. Metadata, documentation and layout take seconds; bytecode takes minutes.
 *
 * @throws Error with what the compiler says
 */
export function compile(
  input: CompilerInput,
  contract: { readonly source: string; readonly name: string },
  outputs: readonly string[],
): Compiled {
  const solc = createRequire(import.meta.url)('solc') as { compile: (input: string) => string };
  const settings = { ...input.settings, outputSelection: { [contract.source]: { [contract.name]: outputs } } };
  const output = JSON.parse(solc.compile(JSON.stringify({ ...input, settings }))) as {
    errors?: readonly { severity: string; formattedMessage: string }[];
    contracts?: Readonly<Record<string, Readonly<Record<string, Compiled>>>>;
  };
  const errors = (output.errors ?? []).filter(({ severity }) => severity === 'error');
  const compiled = output.contracts?.[contract.source]?.[contract.name];
  if (compiled === undefined || errors.length > 0) {
    throw new Error(
      errors.map(({ formattedMessage }) => formattedMessage).join('\n') || `no ${contract.name} came out`,
    );
  }
  return compiled;
}

/** The same, for a contract's own build. */
export function compileBuild({ artifact, input }: Build, outputs: readonly string[]): Compiled {
  return compile(input, { source: artifact.inputSourceName, name: artifact.contractName }, outputs);
}
