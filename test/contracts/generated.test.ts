import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GENERATED_DIRECTORY, generateFiles } from '../../scripts/generate-abis.ts';

describe('generated ABIs', () => {
  it('are what the contracts compile to: npm run generate changes nothing', async () => {
    const files = await generateFiles();
    assert.ok(files.size >= 4);
    for (const [file, text] of files) {
      const committed = await readFile(join(GENERATED_DIRECTORY, file), 'utf8');
      assert.ok(committed === text, `src/chain/generated/${file} is out of date: run npm run generate`);
    }
  });

  it('leave the vault and its extension within the size limit of contracts and of their creation', async () => {
    for (const name of ['Vault', 'VaultExtension']) {
      const path = new URL(`../../artifacts/contracts/${name}.sol/${name}.json`, import.meta.url);
      const artifact = JSON.parse(await readFile(path, 'utf8')) as { bytecode: string; deployedBytecode: string };
      assert.ok(artifact.deployedBytecode.length / 2 - 1 <= 24_576, `${name} exceeds 24,576 bytes`);
      // The constructor's eleven words come on top.
      assert.ok(artifact.bytecode.length / 2 - 1 + 11 * 32 <= 49_152, `the creation of ${name} exceeds 49,152 bytes`);
    }
  });
});
