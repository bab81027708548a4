/**
 * The independent audit: from an RPC endpoint and the vault's address alone, derive every balance a second time and say whether the vault's
 * history keeps the promises that can be seen from outside. With the journal, also that matching was fair (see replay-journal.ts).
 *
 * Needs no database and no API, and shares no code with engine, settlement and indexer but the primitives (hashes, signature recovery,
 * digests), which have tests of their own; replaying the engine is the one exception, since that is its point.
 *
 * What it cannot see: whether a token tells the truth in `balanceOf`, and what an ERC-1271 wallet answered within a block.
 */
import { createDigester } from '../chain/digests.ts';
import { inspectVault } from '../chain/inspect-vault.ts';
import { createRpcPool, type RpcPool } from '../chain/rpc-pool.ts';
import { createVaultDecoder } from '../chain/vault-events.ts';
import type { ChainFact } from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { JournalRow } from '../domain/journal.ts';
import { eip712Domain } from '../domain/typed-data.ts';
import type { Address, Hash } from '../domain/units.ts';
import { auditBatch, type SettledBatch } from './audit-batch.ts';
import { type AssetFigures, compareStorage } from './compare-storage.ts';
import { type AuditCheck, type AuditFailure, Findings } from './findings.ts';
import {
  type BlockPoint,
  findDeployment,
  readBlock,
  readEvents,
  readParameters,
  readSettleCalls,
} from './read-chain.ts';
import { type Replay, replayJournal } from './replay-journal.ts';
import { VaultModel } from './vault-model.ts';

export type AuditOptions = {
  readonly rpcUrl: string;
  readonly vault: Address;
  /** Block of the vault's deployment, or any before it; found by bisection when not given. */
  readonly fromBlock?: number;
  /** Last block to audit; the chain's head when not given. */
  readonly toBlock?: number;
  /** The published journal from its first row on. */
  readonly journal?: AsyncIterable<JournalRow> | Iterable<JournalRow>;
  readonly onProgress?: (progress: AuditProgress) => void;
  readonly timeoutMs?: number;
};

export type AuditProgress = {
  readonly block: number;
  readonly toBlock: number;
  readonly events: number;
  readonly fills: number;
};

export type AuditFigures = {
  readonly fromBlock: number;
  readonly toBlock: number;
  readonly toBlockHash: Hash;
  readonly events: number;
  readonly deposits: number;
  readonly exits: number;
  readonly batches: number;
  readonly orders: number;
  readonly fills: number;
  readonly fillsExecuted: number;
  readonly fillsSkipped: number;
  readonly withdrawals: number;
  readonly accounts: number;
  readonly balancesCompared: number;
  readonly assets: readonly AssetFigures[];
  /** Undefined when no journal was given. */
  readonly journalCommands: number | undefined;
  readonly stateHash: string | undefined;
  readonly seconds: number;
};

export type AuditReport = {
  /** `incomplete`: nothing wrong was found, but not everything could be read. */
  readonly verdict: 'ok' | 'failed' | 'incomplete';
  readonly checks: readonly AuditCheck[];
  readonly failures: readonly AuditFailure[];
  readonly figures: AuditFigures;
  /** Why the audit is incomplete. */
  readonly incomplete: string | undefined;
};

/**
 * Audits the vault up to a block.
 * @throws ExchangeError RPC_FAILED when the node cannot even name the blocks or the vault, CONFIGURATION for a bad URL
 */
export async function auditChain(options: AuditOptions): Promise<AuditReport> {
  const startedAt = performance.now();
  const pool = createRpcPool([options.rpcUrl], { timeoutMs: options.timeoutMs ?? 30_000 });
  const vault = options.vault.toLowerCase() as Address;
  const to = await readBlock(pool, options.toBlock ?? 'latest');
  const parameters = await readParameters(pool, vault, to);
  const from = options.fromBlock ?? (await findDeployment(pool, vault, to.number));
  const findings = new Findings();
  const model = new VaultModel(parameters, findings);
  const counts = {
    events: 0,
    deposits: 0,
    exits: 0,
    batches: 0,
    orders: 0,
    fills: 0,
    fillsExecuted: 0,
    withdrawals: 0,
  };
  const settled = new Map<number, SettledBatch>();
  const facts = new Map<number, ChainFact>();
  let incomplete: string | undefined;
  let assets: readonly AssetFigures[] = [];
  let balancesCompared = 0;
  let replayed: Replay | undefined;
  try {
    incomplete = await followEvents({ pool, model, findings, from, to, counts, settled, facts, options });
    // Books that were not derived from the beginning say nothing about storage or journal.
    if (incomplete === undefined) {
      const state = await pool.run((endpoint) => inspectVault(endpoint, vault, [...model.accounts.keys()], to.hash));
      ({ assets, balancesCompared } = await compareStorage(pool, model, findings, state, to, counts.events));
      if (options.journal !== undefined) {
        replayed = await replayJournal(options.journal, { model, settled, facts }, findings);
        if (replayed.unreached > 0) incomplete = `the journal ends before ${replayed.unreached} of the settled batches`;
      }
    }
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    incomplete = error.message;
  }
  return {
    verdict: findings.failed ? 'failed' : incomplete === undefined ? 'ok' : 'incomplete',
    checks: findings.checks(),
    failures: findings.failures,
    figures: {
      fromBlock: from,
      toBlock: to.number,
      toBlockHash: to.hash,
      ...counts,
      fillsSkipped: counts.fills - counts.fillsExecuted,
      accounts: model.accounts.size,
      balancesCompared,
      assets,
      journalCommands: replayed?.commands,
      stateHash: replayed?.stateHash,
      seconds: (performance.now() - startedAt) / 1000,
    },
    incomplete,
  };
}

type Following = {
  readonly pool: RpcPool;
  readonly model: VaultModel;
  readonly findings: Findings;
  readonly from: number;
  readonly to: BlockPoint;
  readonly counts: {
    events: number;
    deposits: number;
    exits: number;
    batches: number;
    orders: number;
    fills: number;
    fillsExecuted: number;
    withdrawals: number;
  };
  readonly settled: Map<number, SettledBatch>;
  readonly facts: Map<number, ChainFact>;
  readonly options: AuditOptions;
};

/** @returns why the audit is incomplete, when the first events lie before `from` */
async function followEvents({
  pool,
  model,
  findings,
  from,
  to,
  counts,
  settled,
  facts,
  options,
}: Following): Promise<string | undefined> {
  const { chainId, vault } = model.parameters;
  const digester = createDigester(eip712Domain(chainId, vault));
  // Only to be held against the journal.
  const decoder = createVaultDecoder();
  let last: number | undefined;
  let incomplete: string | undefined;
  for await (const { events, block } of readEvents(pool, vault, from, to.number)) {
    const batches = events.filter((event) => event.name === 'BatchSettled').map((event) => event.transaction);
    const calls = await readSettleCalls(pool, vault, batches);
    for (const event of events) {
      if (last === undefined && event.eventSequence !== 1) {
        incomplete = `the vault's first ${event.eventSequence - 1} events lie before block ${from}: balances cannot be derived without them`;
        return incomplete;
      }
      const expected = (last ?? 0) + 1;
      findings.check(
        'event_sequence',
        event.eventSequence === expected,
        event,
        () => `event ${event.eventSequence} follows event ${expected - 1}`,
      );
      last = event.eventSequence;
      counts.events += 1;
      if (options.journal !== undefined) facts.set(event.eventSequence, decoder.decode(event.log).fact);
      if (event.name === 'Deposited') counts.deposits += 1;
      if (event.name === 'ExitExecuted') counts.exits += 1;
      if (event.name !== 'BatchSettled') {
        model.apply(event);
        continue;
      }
      const audited = auditBatch(
        model,
        digester,
        findings,
        event,
        calls.get(event.transaction) ?? 'the transaction was not read',
      );
      counts.batches += 1;
      if (audited === undefined) continue;
      counts.orders += audited.figures.orders;
      counts.fills += audited.figures.fills;
      counts.fillsExecuted += audited.figures.executed;
      counts.withdrawals += audited.figures.withdrawals;
      if (options.journal !== undefined) settled.set(audited.settled.call.id, audited.settled);
    }
    options.onProgress?.({ block, toBlock: to.number, events: counts.events, fills: counts.fills });
  }
  return incomplete;
}
