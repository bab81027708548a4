/** Loaded by mocha before all test files (see .mocharc.json): ends what the tests share. */
import { stopTestServer } from './database.ts';

export async function mochaGlobalTeardown(): Promise<void> {
  await stopTestServer();
}
