import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh directory, removed with everything in it when the test file's tests have ended. To be called inside `describe`. */
export function useTemporaryDirectory(): { readonly path: () => string } {
  let path: string | undefined;
  before(async () => {
    path = await mkdtemp(join(tmpdir(), 'tallystick-test-'));
  });
  after(async () => {
    if (path !== undefined) await rm(path, { recursive: true, force: true });
  });
  return {
    path: () => {
      if (path === undefined) throw new Error('the directory exists only while tests run');
      return path;
    },
  };
}
