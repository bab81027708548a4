/** Loaded by mocha before all test files (see .mocharc.json): ends what the tests share. */
import { stopTestServer } from './database.ts';
import { stopSharedExchange } from './running-exchange.ts';

export async function mochaGlobalTeardown(): Promise<void> {
  await stopSharedExchange();
  await stopTestServer();
}
