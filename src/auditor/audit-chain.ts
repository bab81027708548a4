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
import { inspectVault, type VaultState } from '../chain/inspect-vault.ts';
import { createRpcPool, type RpcPool } from '../chain/rpc-pool.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { JournalRow } from '../domain/journal.ts';
import { eip712Domain } from '../domain/typed-data.ts';
import type { Address, Hash } from '../domain/units.ts';
import { auditBatch, type BatchJudge, type SettledBatch } from './audit-batch.ts';
import { type AssetFigures, compareStorage } from './compare-storage.ts';
import { createFactReader, type ExpectedFact } from './expected-fact.ts';
import { type AuditCheck, type AuditFailure, Findings } from './findings.ts';
import type { Acknowledgement } from './judge-receipt.ts';
import { RecoveredSigners } from './order-signers.ts';
import { type PreparedGroup, preparedGroups } from './prepare-batches.ts';
import {
  type BlockPoint,
  type ChainEvent,
  findDeployment,
  firstEvent,
  patient,
  readBlock,
  readParameters,
} from './read-chain.ts';
import { type Replay, replayJournal } from './replay-journal.ts';
import { VaultModel } from './vault-model.ts';

export type AuditOptions = {
  readonly rpcUrl: string;
  readonly vault: Address;
  /**
   * Block of the vault's deployment, or any before it; found by bisection when not given. A later block: the history before it is derived
   * all the same, but its orders' signatures are taken from the vault's word, which saves most of the work.
   */
  readonly fromBlock?: number;
  /** Last block to audit; the chain's head when not given. */
  readonly toBlock?: number;
  /** The published journal from its first row on. */
  readonly journal?: AsyncIterable<JournalRow> | Iterable<JournalRow>;
  /** To be held against the journal. */
  readonly acknowledgements?: readonly Acknowledgement[];
  readonly onProgress?: (progress: AuditProgress) => void;
  readonly timeoutMs?: number;
};

/** What is under way: first the events, then the storage, then the journal. */
export type AuditProgress =
  | {
      readonly stage: 'events';
      readonly block: number;
      readonly toBlock: number;
      readonly events: number;
      readonly fills: number;
    }
  | { readonly stage: 'storage'; readonly accounts: number; readonly ofAccounts: number }
  | { readonly stage: 'journal'; readonly commands: number };

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
  /** Orders before `fromBlock` whose signatures were taken from the vault's word. */
  readonly signaturesTrusted: number;
  readonly accounts: number;
  readonly balancesCompared: number;
  readonly assets: readonly AssetFigures[];
  /** Undefined when no journal was given. */
  readonly journalCommands: number | undefined;
  /** Facts of the journal that come after the last audited event: nothing can be said of them yet. Undefined without a journal. */
  readonly journalFactsBeyond: number | undefined;
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
 * @throws ExchangeError RPC_FAILED when the node cannot even name the blocks or the vault, CONFIGURATION for a bad URL or a first block above the last
 */
export async function auditChain(options: AuditOptions): Promise<AuditReport> {
  const startedAt = performance.now();
  const pool = createRpcPool([options.rpcUrl], { timeoutMs: options.timeoutMs ?? 30_000 });
  const vault = options.vault.toLowerCase() as Address;
  const to = await readBlock(pool, options.toBlock ?? 'latest');
  // Nothing would be left to check, and the vault's word would be taken for all signatures.
  if (options.fromBlock !== undefined && options.fromBlock > to.number)
    throw new ExchangeError('CONFIGURATION', `--from ${options.fromBlock} is above the last block, ${to.number}`);
  const parameters = await readParameters(pool, vault, to);
  const from = options.fromBlock ?? (await findDeployment(pool, vault, to.number));
  const findings = new Findings();
  const model = new VaultModel(parameters, findings);
  const signers = new RecoveredSigners(eip712Domain(parameters.chainId, vault));
  const audit: Audit = { pool: patient(pool), model, findings, signers, to, options, history: emptyHistory() };
  let outcome: Outcome = { assets: [], balancesCompared: 0, replayed: undefined, incomplete: undefined };
  try {
    outcome = await auditAll(audit, from);
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    outcome = { ...outcome, incomplete: error.message };
  } finally {
    await signers.close();
  }
  const { counts } = audit.history;
  const { assets, balancesCompared, replayed } = outcome;
  // Events of one chain and the storage of another do not fit: that would accuse somebody who did nothing.
  const isMoved = findings.failed && (await isReplaced(audit.pool, to));
  const incomplete = isMoved
    ? `the chain was reorganised below block ${to.number} meanwhile; audit again`
    : outcome.incomplete;
  const isFailed = findings.failed && !isMoved;
  return {
    verdict: isFailed ? 'failed' : incomplete === undefined ? 'ok' : 'incomplete',
    checks: isMoved ? [] : findings.checks(),
    failures: isMoved ? [] : findings.failures,
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
      journalFactsBeyond: replayed?.factsBeyond,
      stateHash: replayed?.stateHash,
      seconds: (performance.now() - startedAt) / 1000,
    },
    incomplete,
  };
}

/** A node that does not answer any more leaves what was found as it is. */
async function isReplaced(pool: RpcPool, block: BlockPoint): Promise<boolean> {
  try {
    return (await readBlock(pool, block.number)).hash !== block.hash;
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    return false;
  }
}

/** What the events showed so far. */
type History = {
  readonly counts: {
    events: number;
    deposits: number;
    exits: number;
    batches: number;
    orders: number;
    fills: number;
    fillsExecuted: number;
    withdrawals: number;
    signaturesTrusted: number;
  };
  /** Kept only for the journal, as are the facts by event sequence. */
  readonly settled: Map<number, SettledBatch>;
  readonly facts: Map<number, ExpectedFact>;
};

const emptyHistory = (): History => ({
  counts: {
    events: 0,
    deposits: 0,
    exits: 0,
    batches: 0,
    orders: 0,
    fills: 0,
    fillsExecuted: 0,
    withdrawals: 0,
    signaturesTrusted: 0,
  },
  settled: new Map(),
  facts: new Map(),
});

type Audit = {
  readonly pool: RpcPool;
  readonly model: VaultModel;
  readonly findings: Findings;
  readonly signers: RecoveredSigners;
  readonly to: BlockPoint;
  readonly options: AuditOptions;
  readonly history: History;
};

type Outcome = {
  readonly assets: readonly AssetFigures[];
  readonly balancesCompared: number;
  readonly replayed: Replay | undefined;
  readonly incomplete: string | undefined;
};

async function auditAll(audit: Audit, from: number): Promise<Outcome> {
  const { pool, model, findings, to, options, history } = audit;
  const { vault } = model.parameters;
  const nothing = { assets: [], balancesCompared: 0, replayed: undefined };
  const isFromTheBeginning = options.fromBlock === undefined || (await firstEvent(pool, vault, from, to.number)) === 1;
  const begin = isFromTheBeginning ? from : await findDeployment(pool, vault, to.number);
  const incomplete = await followEvents(audit, begin, Math.max(begin, from));
  // Books that were not derived from the beginning say nothing about storage or journal.
  if (incomplete !== undefined) return { ...nothing, incomplete };
  const state = await readStorage(audit);
  const compared = await compareStorage(pool, model, findings, state, to, history.counts.events);
  if (options.journal === undefined) return { ...compared, replayed: undefined, incomplete: undefined };
  const replayed = await replayJournal(
    options.journal,
    { model, signers: audit.signers, ...history },
    options.acknowledgements ?? [],
    findings,
    (commands) => options.onProgress?.({ stage: 'journal', commands }),
  );
  const reasons = [...replayed.unjudged];
  if (replayed.unreached > 0) reasons.unshift(`the journal ends before ${replayed.unreached} of the settled batches`);
  return { ...compared, replayed, incomplete: reasons.length === 0 ? undefined : reasons.join('; ') };
}

/** Accounts read between two words of progress. */
const ACCOUNTS_PER_READ = 10_000;

async function readStorage({ pool, model, to, options }: Audit): Promise<VaultState> {
  const accounts = [...model.accounts.keys()];
  const { vault } = model.parameters;
  const read = (start: number): Promise<VaultState> => {
    options.onProgress?.({ stage: 'storage', accounts: start, ofAccounts: accounts.length });
    const some = accounts.slice(start, start + ACCOUNTS_PER_READ);
    return pool.run((endpoint) => inspectVault(endpoint, vault, some, to.hash));
  };
  const first = await read(0);
  const shown = [...first.accounts];
  for (let start = ACCOUNTS_PER_READ; start < accounts.length; start += ACCOUNTS_PER_READ)
    for (const account of (await read(start)).accounts) shown.push(account);
  return { ...first, accounts: shown };
}

/** @returns why the audit is incomplete, when the node does not have the first events */
async function followEvents(audit: Audit, from: number, trustedBefore: number): Promise<string | undefined> {
  const { pool, model, findings, signers, to, options } = audit;
  const { counts, facts } = audit.history;
  const { chainId, vault } = model.parameters;
  const digester = createDigester(eip712Domain(chainId, vault));
  const judge: BatchJudge = { model, digester, signers, findings, trustedBefore };
  const factOf = createFactReader();
  let last = 0;
  for await (const group of preparedGroups({ pool, vault, from, to: to.number, model, signers, trustedBefore })) {
    for (const event of group.events) {
      if (last === 0 && event.eventSequence !== 1) {
        return `the node does not show the vault's first ${event.eventSequence - 1} events: balances cannot be derived without them`;
      }
      const expected = last + 1;
      findings.check(
        'event_sequence',
        event.eventSequence === expected,
        event,
        () => `event ${event.eventSequence} follows event ${expected - 1}`,
      );
      last = event.eventSequence;
      counts.events += 1;
      if (options.journal !== undefined) facts.set(event.eventSequence, factOf(event));
      if (event.name === 'Deposited') counts.deposits += 1;
      if (event.name === 'ExitExecuted') counts.exits += 1;
      if (event.name === 'BatchSettled') followBatch(audit, judge, event, group);
      else model.apply(event);
    }
    const { events, fills } = counts;
    options.onProgress?.({ stage: 'events', block: group.block, toBlock: to.number, events, fills });
  }
  return undefined;
}

function followBatch({ history, options }: Audit, judge: BatchJudge, event: ChainEvent, group: PreparedGroup): void {
  const { counts, settled } = history;
  counts.batches += 1;
  const batch = group.batches.get(event.transaction) ?? { call: 'the transaction was not read' };
  const audited = auditBatch(judge, event, batch);
  if (audited === undefined) return;
  counts.orders += audited.figures.orders;
  counts.fills += audited.figures.fills;
  counts.fillsExecuted += audited.figures.executed;
  counts.withdrawals += audited.figures.withdrawals;
  counts.signaturesTrusted += audited.figures.signaturesTrusted;
  if (options.journal !== undefined) settled.set(audited.settled.call.id, audited.settled);
}
