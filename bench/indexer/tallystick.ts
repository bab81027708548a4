/** The indexer as a process of its own: says how long the backfill took, then follows the chain until it is ended. */
import { createVaultReader } from '../../src/chain/vault-reader.ts';
import { startIndexer } from '../../src/indexer/run-indexer.ts';
import { openDatabase } from '../../src/storage/database.ts';
import type { VaultChain } from './subjects.ts';

const chain = JSON.parse(process.env['BENCH_CHAIN'] ?? '') as VaultChain;
const pool = openDatabase({ url: process.env['DATABASE_URL'] ?? '', applicationName: 'bench-indexer' });
const startedMs = performance.now();
let isBackfilled = false;
const indexer = startIndexer({
  pool,
  rpcUrls: [chain.rpcUrl],
  place: { vault: chain.vault, deploymentBlock: chain.deploymentBlock },
  reader: createVaultReader(chain.vault),
  finality: { kind: 'confirmations', count: 30 },
  rpcTimeoutMs: 60_000,
  onStored: (_step, { lastEventSequence }) => {
    if (isBackfilled || lastEventSequence < chain.lastSequence) return;
    isBackfilled = true;
    process.send?.({ backfillMs: performance.now() - startedMs });
  },
  onWarning: (message, error) => process.stderr.write(`${message}: ${String(error)}\n`),
});
// It ends when it is told to, when following has to end, and when whoever started it is gone.
process.once('SIGTERM', () => void indexer.stop());
process.once('disconnect', () => void indexer.stop());
try {
  await indexer.done;
} finally {
  await pool.end();
}
process.disconnect?.();
