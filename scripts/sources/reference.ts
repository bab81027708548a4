/**
 * docs/contracts-reference.md: what the compiler knows better than any writer. Code sizes with what is left of the limits, the storage layout,
 * and every function, event and error with its selector and its notice. `npm run generate` writes it; a test holds it against the sources.
 */
import { join } from 'node:path';
import { keccakText } from '../../src/chain/keccak.ts';
import { PROJECT_DIRECTORY } from '../run-command.ts';
import { type AbiItem, type Build, compileBuild, readBuild } from './compiler.ts';

/** EIP-170 and EIP-3860. */
export const CODE_BYTES_MAX = 24_576;
export const CREATION_BYTES_MAX = 49_152;
export const REFERENCE_DOCUMENT = join(PROJECT_DIRECTORY, 'docs', 'contracts-reference.md');

const DEPLOYED = ['Vault', 'VaultExtension', 'VaultTimelock'] as const;

type StorageEntry = { readonly label: string; readonly slot: string; readonly offset: number; readonly type: string };
type StorageLayout = {
  readonly storage: readonly StorageEntry[];
  readonly types: Readonly<
    Record<string, { readonly label: string; readonly members?: readonly StorageEntry[] }>
  > | null;
};
type Notices = Readonly<Record<string, { readonly notice?: string } | readonly { readonly notice?: string }[]>>;
type Documented = Readonly<
  Record<string, { readonly params?: Record<string, string>; readonly returns?: Record<string, string> }>
>;

/** A function, event or error of the vault, with its NatSpec. */
export type InterfaceItem = {
  readonly kind: 'function' | 'event' | 'error';
  readonly signature: string;
  readonly selector: string;
  readonly notice: string;
  readonly parameters: readonly string[];
  readonly documentedParameters: readonly string[];
  readonly outputs: number;
  readonly documentedOutputs: number;
  readonly isView: boolean;
};

function bytesOf(hex: string): number {
  return hex.replace(/^0x/, '').length / 2;
}

function thousands(value: number): string {
  return value.toLocaleString('en-US');
}

function typeOf({ type, components = [] }: { type: string; components?: AbiItem['inputs'] }): string {
  return type.startsWith('tuple') ? `(${components.map(typeOf).join(',')})${type.slice('tuple'.length)}` : type;
}

function itemsOf(build: Build): InterfaceItem[] {
  const { userdoc, devdoc } = compileBuild(build, ['userdoc', 'devdoc']) as Record<string, Record<string, unknown>>;
  const kinds = { function: 'methods', event: 'events', error: 'errors' } as const;
  return build.artifact.abi.flatMap((item) => {
    const { type, name, inputs = [], outputs = [] } = item;
    if (type !== 'function' && type !== 'event' && type !== 'error') return [];
    const signature = `${name}(${inputs.map(typeOf).join(',')})`;
    const notices = ((userdoc?.[kinds[type]] ?? {}) as Notices)[signature];
    const details = ((devdoc?.[kinds[type]] ?? {}) as Documented)[signature];
    const hash = Buffer.from(keccakText(signature)).toString('hex');
    return [
      {
        kind: type,
        signature,
        selector: `0x${type === 'event' ? hash : hash.slice(0, 8)}`,
        notice: (Array.isArray(notices) ? notices[0] : (notices as { notice?: string } | undefined))?.notice ?? '',
        parameters: inputs.map((input) => input.name),
        documentedParameters: Object.keys(details?.params ?? {}),
        outputs: outputs.length,
        documentedOutputs: Object.keys(details?.returns ?? {}).length,
        isView: item.stateMutability === 'view' || item.stateMutability === 'pure',
      },
    ];
  });
}

/** The whole interface of a deployed vault: its own functions and those that it forwards to its extension, each once. */
export async function interfaceItems(): Promise<readonly InterfaceItem[]> {
  const [vault, extension] = await Promise.all(DEPLOYED.slice(0, 2).map((name) => readBuild(`${name}.sol/${name}`)));
  const items = new Map<string, InterfaceItem>();
  for (const item of [...itemsOf(vault as Build), ...itemsOf(extension as Build)])
    items.set(`${item.kind} ${item.signature}`, item);
  return [...items.values()].sort((a, b) => (a.signature < b.signature ? -1 : 1));
}

/** Where the compiler puts what is not an account's word, a row each. */
export async function storageRows(contract: 'Vault' | 'VaultExtension'): Promise<readonly string[]> {
  const compiled = compileBuild(await readBuild(`${contract}.sol/${contract}`), ['storageLayout']);
  const { storage, types } = compiled['storageLayout'] as StorageLayout;
  return storage.map(({ label, slot, type }) => {
    const { label: name = '', members = [] } = types?.[type] ?? {};
    const packed = members.map((member) => `${member.label} ${member.slot}:${member.offset}`);
    return `| ${slot} | \`${label}\` | ${name} | ${packed.join(' · ')} |`;
  });
}

export async function codeSizes(): Promise<readonly { contract: string; code: number; creation: number }[]> {
  return Promise.all(
    DEPLOYED.map(async (contract) => {
      const { artifact } = await readBuild(`${contract}.sol/${contract}`);
      return { contract, code: bytesOf(artifact.deployedBytecode), creation: bytesOf(artifact.bytecode) };
    }),
  );
}

function tableOf(items: readonly InterfaceItem[], kind: InterfaceItem['kind'], title: string): string {
  const rows = items
    .filter((item) => item.kind === kind)
    .map(({ signature, selector, notice }) => {
      const short = kind === 'event' ? `${selector.slice(0, 10)}…` : selector;
      return `| \`${signature}\` | \`${short}\` | ${notice.replaceAll('|', '\\|')} |`;
    });
  return [`## ${title}`, '', '| Signature | Selector | What it says |', '| --- | --- | --- |', ...rows].join('\n');
}

/** The whole document. @throws Error when the contracts have not been compiled */
export async function referenceDocument(): Promise<string> {
  const sizes = (await codeSizes()).map(
    ({ contract, code, creation }) =>
      `| \`${contract}\` | ${thousands(code)} | ${thousands(CODE_BYTES_MAX - code)} | ${thousands(creation)} | ${thousands(CREATION_BYTES_MAX - creation)} |`,
  );
  const items = await interfaceItems();
  return `${[
    '# The contracts: sizes, storage, interface',
    'Written by the compiler (`npm run generate`), held against the sources by a test; do not edit. What it means stands in [contracts.md](contracts.md).',
    '## Code sizes',
    [
      '| Contract | Code, bytes | Left of 24,576 | Creation code, bytes | Left of 49,152 |',
      '| --- | ---: | ---: | ---: | ---: |',
      ...sizes,
    ].join('\n'),
    '## Storage layout',
    'The vault and its extension agree on every row. Account words (pages, lanes, exit requests) lie outside, by address: see `Slots`. Members are named with word:byte within their struct.',
    ['| Slot | Name | Type | Members |', '| ---: | --- | --- | --- |', ...(await storageRows('Vault'))].join('\n'),
    tableOf(items, 'function', 'Functions'),
    tableOf(items, 'event', 'Events'),
    tableOf(items, 'error', 'Errors'),
  ].join('\n\n')}\n`;
}
