import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_DIRECTORY } from '../../scripts/run-command.ts';
import { readBuild } from '../../scripts/sources/compiler.ts';
import {
  CODE_BYTES_MAX,
  CREATION_BYTES_MAX,
  codeSizes,
  type InterfaceItem,
  interfaceItems,
  REFERENCE_DOCUMENT,
  referenceDocument,
  storageRows,
} from '../../scripts/sources/reference.ts';

describe('what is written about the contracts', function () {
  this.timeout(120_000);
  let items: readonly InterfaceItem[];
  before(async () => {
    items = await interfaceItems();
  });

  it('docs/contracts-reference.md is what the compiler says: npm run generate changes nothing', async () => {
    const written = await readFile(REFERENCE_DOCUMENT, 'utf8');
    assert.ok(written === (await referenceDocument()), 'it is out of date: run npm run generate');
  });

  it('code and creation code stay within their limits, the constructor’s eleven words included', async () => {
    for (const { contract, code, creation } of await codeSizes()) {
      assert.ok(code <= CODE_BYTES_MAX, `${contract} has ${code - CODE_BYTES_MAX} bytes too many`);
      assert.ok(creation + 11 * 32 <= CREATION_BYTES_MAX, `the creation of ${contract} has ${creation} bytes`);
    }
  });

  it('vault and extension agree on every storage slot', async () => {
    const rows = await storageRows('Vault');
    assert.ok(rows.length >= 12, `${rows.length} rows`);
    assert.deepEqual(await storageRows('VaultExtension'), rows);
  });

  it('every function, event and error says what it is for, and names each parameter and result', () => {
    assert.ok(items.length > 90, `${items.length} items`);
    const silent = items.filter(({ notice }) => notice.trim() === '');
    assert.deepEqual(
      silent.map(({ signature }) => signature),
      [],
    );
    for (const { kind, signature, parameters, documentedParameters, outputs, documentedOutputs } of items) {
      // An error's sentence speaks of its arguments; getters of the compiler's own have unnamed keys and results.
      if (kind === 'error') continue;
      const named = parameters.filter((name) => name !== '');
      assert.ok(
        documentedParameters.length >= named.length,
        `${signature}: ${documentedParameters.join()} are documented`,
      );
      if (parameters.length > 0) assert.ok(documentedOutputs >= outputs, `${signature} does not say what it returns`);
    }
  });

  it('every power of an administrator stands in docs/contracts.md, with when it takes effect', async () => {
    const text = await readFile(join(PROJECT_DIRECTORY, 'docs', 'contracts.md'), 'utf8');
    const section = text.split('### Powers of administrators and their delays')[1]?.split('\n## ')[0] ?? '';
    const rows = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| Power'));
    const { artifact } = await readBuild('interfaces/IVault.sol/IVaultGovernance');
    const powers = artifact.abi.filter(
      ({ type, stateMutability }) => type === 'function' && stateMutability !== 'view',
    );
    assert.ok(powers.length >= 12, `${powers.length} powers`);
    for (const { name } of powers) {
      const row = rows.find((line) => line.includes(`\`${name}\``));
      assert.ok(row !== undefined, `${name} is missing`);
      assert.match(row, /at once|timelock/, name);
    }
    const named = [...section.matchAll(/^\| .*?`(\w+)`/gm)].map(([, name]) => name);
    assert.deepEqual(
      named.filter((name) => !powers.some((power) => power.name === name)),
      [],
      'powers that the vault does not have',
    );
  });

  it('every fault of the table in docs/contracts.md has the test that it names', async () => {
    const text = await readFile(join(PROJECT_DIRECTORY, 'docs', 'contracts.md'), 'utf8');
    const section = text.split('## Faults, and the tests that inject them')[1]?.split('\n## ')[0] ?? '';
    const rows = [...section.matchAll(/^\| (\w+) \| (.+) \| (.+) … \| `(test\/.+\.test\.ts)` \|$/gm)];
    assert.ok(rows.length >= 40, `${rows.length} rows`);
    for (const [, group, fault, title, file] of rows) {
      const source = await readFile(join(PROJECT_DIRECTORY, file as string), 'utf8');
      assert.ok(source.includes(`it('${title}`), `${group}, ${fault}: ${file} has no test that begins with “${title}”`);
    }
    assert.deepEqual([...new Set(rows.map(([, group]) => group))], ['contracts', 'tokens', 'exit', 'keys']);
  });
});
