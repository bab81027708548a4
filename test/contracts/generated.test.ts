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
});
