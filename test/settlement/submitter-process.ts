/** A submitter in a process of its own, for tests that kill it. Takes what it needs as JSON in SUBMITTER_PROCESS. */
import pg from 'pg';
import { createRpcPool } from '../../src/chain/rpc-pool.ts';
import type { Address, Hex } from '../../src/domain/units.ts';
import { createLocalTransactionSigner } from '../../src/settlement/signers.ts';
import { createSubmitter } from '../../src/settlement/submitter.ts';

export type SubmitterProcess = {
  readonly databaseUrl: string;
  readonly rpcUrl: string;
  readonly chainId: number;
  readonly vault: Address;
  readonly deploymentBlock: number;
  readonly privateKey: Hex;
};

const given = JSON.parse(process.env['SUBMITTER_PROCESS'] ?? '{}') as SubmitterProcess;
createSubmitter({
  pool: new pg.Pool({ connectionString: given.databaseUrl }),
  rpc: createRpcPool([given.rpcUrl]),
  chainId: given.chainId,
  vault: given.vault,
  deploymentBlock: given.deploymentBlock,
  signer: createLocalTransactionSigner(given.privateKey),
  finality: { kind: 'confirmations', count: 3 },
  owner: `process-${process.pid}`,
  leaseMs: 300,
  pollIntervalMs: 20,
}).start();
