/**
 * With the published journal: replay the engine and prove that matching was fair (P10).
 *
 * The journal's rows must be one chain of hashes, its facts from the chain the chain's own, its orders and withdrawals signed. Then the engine, which keeps
 * price-time priority, is run over it again: every batch that it seals must be, order by order and fill by fill, the one that was settled,
 * and the settled one must commit to the very row that ends with its seal. So nothing can have been matched otherwise, slipped in or left
 * out without either the journal's hashes or the batches showing it.
 */
import { createDigester, type Digester } from '../chain/digests.ts';
import { recoverSigner } from '../chain/recover.ts';
import type { SealedBatch } from '../domain/batches.ts';
import type { SequencedCommand } from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { EngineEvent } from '../domain/events.ts';
import type { JournalRow } from '../domain/journal.ts';
import { NATIVE_CURRENCY, type NewOrder, type NewWithdrawal, packNonce } from '../domain/orders.ts';
import { eip712Domain } from '../domain/typed-data.ts';
import type { Hash } from '../domain/units.ts';
import { Engine } from '../offchain-engine/engine.ts';
import { JOURNAL_START, verifyRow } from '../offchain-engine/sequencer/journal-row.ts';
import { stateHash } from '../offchain-engine/snapshot.ts';
import type { SettledBatch } from './audit-batch.ts';
import type { ExpectedFact } from './expected-fact.ts';
import type { Findings } from './findings.ts';
import { orderMessage } from './judge-batch.ts';
import { type Acknowledgement, judgeAcknowledgement } from './judge-receipt.ts';
import type { RecoveredSigners } from './order-signers.ts';
import type { Content } from './read-content.ts';
import type { VaultModel } from './vault-model.ts';

export type Replay = {
  readonly commands: number;
  readonly stateHash: Hash;
  /** Facts that come after the last audited event. */
  readonly factsBeyond: number;
  /** Settled batches that the journal as given does not reach. */
  readonly unreached: number;
  /** Why acknowledgements could not be judged. */
  readonly unjudged: readonly string[];
};

/** What the chain showed, for the journal to be held against. */
export type ChainRecord = {
  readonly model: VaultModel;
  readonly signers: RecoveredSigners;
  readonly settled: ReadonlyMap<number, SettledBatch>;
  /** By event sequence. */
  readonly facts: ReadonlyMap<number, ExpectedFact>;
};

/** A batch as the replayed engine sealed it, and the row that ends with its seal. */
type Seal = { readonly batch: SealedBatch; readonly row: JournalRow };

/** Replays rows from the first one on, up to the first that cannot be trusted. */
export async function replayJournal(
  journal: AsyncIterable<JournalRow> | Iterable<JournalRow>,
  chain: ChainRecord,
  acknowledgements: readonly Acknowledgement[],
  findings: Findings,
  onProgress: (commands: number) => void,
): Promise<Replay> {
  const engine = new Engine();
  let factsBeyond = 0;
  const unmatched = new Map(chain.settled);
  // A batch may be sealed again in smaller parts: then only the last seal of its id may have been settled.
  const otherSeals = new Map<number, Seal>();
  const signatures = new SignatureChecker(chain, findings);
  const receipts = new ReceiptChecker(acknowledgements, chain.model, findings);
  let position = JOURNAL_START;
  try {
    for await (const row of journal) {
      const verified = verifyRow(position, row);
      findings.check('journal_chain', true, {}, () => '');
      position = verified.position;
      receipts.check(row, verified.commands);
      for (const sequenced of verified.commands) {
        if (!checkFact(sequenced, chain, findings)) factsBeyond++;
        await signatures.check(sequenced);
        for (const event of engine.apply(sequenced).events) {
          if (event.kind === 'batchFinal') compareEnd(event, chain.settled.get(event.batchId), findings);
          if (event.kind !== 'batchSealed') continue;
          const { batch } = event;
          const settled = unmatched.get(batch.batchId);
          if (settled?.call.journalSequence !== batch.journalSequence) {
            if (settled !== undefined) otherSeals.set(batch.batchId, { batch, row });
            continue;
          }
          compareBatch({ batch, row }, settled, findings);
          unmatched.delete(batch.batchId);
        }
      }
      onProgress(row.lastSequence);
    }
  } catch (error) {
    const isCorrupt = error instanceof ExchangeError && error.code === 'JOURNAL_CORRUPT';
    if (error instanceof ExchangeError && !isCorrupt) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    findings.check(isCorrupt ? 'journal_chain' : 'journal_batches', false, {}, () => reason);
  } finally {
    await signatures.finish();
  }
  const replayedTo = engine.lastSequence;
  const unreached = [...unmatched].filter(([id, { call }]) => !otherSeals.has(id) && call.journalSequence > replayedTo);
  for (const [id, settled] of unmatched) {
    const seal = otherSeals.get(id);
    if (seal !== undefined) compareBatch(seal, settled, findings);
    else if (settled.call.journalSequence <= replayedTo) {
      const complain = (): string => `batch ${id} was settled, but the journal does not seal it`;
      findings.check('journal_batches', false, { transaction: settled.transaction }, complain);
    }
  }
  const unjudged = receipts.unjudged();
  return { commands: replayedTo, stateHash: stateHash(engine), factsBeyond, unreached: unreached.length, unjudged };
}

/** @returns false for a fact beyond the audited blocks, which cannot be held against anything */
function checkFact({ sequence, command }: SequencedCommand, chain: ChainRecord, findings: Findings): boolean {
  if (command.kind === 'genesis') {
    const { chainId, vault } = chain.model.parameters;
    const isOurs = command.chainId === chainId && command.vault === vault;
    findings.check(
      'journal_facts',
      isOurs,
      {},
      () => `the journal is of vault ${command.vault} on chain ${command.chainId}`,
    );
  }
  if (!('eventSequence' in command)) return true;
  const { eventSequence, ...fact } = command;
  const expected = chain.facts.get(eventSequence);
  if (expected === undefined) return false;
  const agrees = canonical(fact) === canonical(expected);
  findings.check(
    'journal_facts',
    agrees,
    {},
    () =>
      `command ${sequence} says of vault event ${eventSequence} ${canonical(fact)}, on chain it is ${canonical(expected)}`,
  );
  return true;
}

/** JSON with sorted keys, so that the order of members does not matter. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return member.toString();
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Signatures on their way at once. */
const PENDING_MAX = 4_096;

/** Orders and withdrawals must carry the signature of their signer, over what the engine took them for. */
class SignatureChecker {
  readonly #chain: ChainRecord;
  readonly #findings: Findings;
  readonly #digester: Digester;
  #pending: Promise<void>[] = [];

  constructor(chain: ChainRecord, findings: Findings) {
    const { chainId, vault } = chain.model.parameters;
    this.#chain = chain;
    this.#findings = findings;
    this.#digester = createDigester(eip712Domain(chainId, vault));
  }

  /** Resolves as soon as there is room for another one. */
  async check({ command }: SequencedCommand): Promise<void> {
    if (command.kind === 'requestWithdrawal') this.#checkWithdrawal(command.withdrawal);
    if (command.kind !== 'placeOrder' && command.kind !== 'replaceOrder') return;
    const { order } = command;
    const { model } = this.#chain;
    const market = model.market(order.market);
    if (market === undefined) return;
    const message = orderMessage(model, { ...order, sequence: order.orderSequence }, market);
    const digest = this.#digester.order(message);
    const isItself = digest === order.digest;
    const complain = (): string => `the order's terms have the digest ${digest}`;
    if (!this.#findings.check('journal_orders', isItself, { order: order.digest }, complain)) return;
    // An order without a signature was registered on chain, which the batch that settles it has to show.
    if (order.signature === '0x') return;
    if (this.#pending.length >= PENDING_MAX) await this.finish();
    this.#pending.push(this.#checkSigner(order, message));
  }

  /** Resolves when every signature has been checked. */
  async finish(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    await Promise.all(pending);
  }

  /** Gateways take withdrawals of keys only, not of contract wallets. There are few of them, so they are recovered where they stand. */
  #checkWithdrawal(withdrawal: NewWithdrawal): void {
    const asset = this.#chain.model.assets[withdrawal.asset];
    if (asset === undefined) return;
    const digest = this.#digester.withdrawal({
      account: withdrawal.account,
      token: withdrawal.native ? NATIVE_CURRENCY : asset.token,
      amount: BigInt(withdrawal.amount) * asset.quantumUnits,
      recipient: withdrawal.recipient,
      nonce: packNonce(withdrawal.lane, withdrawal.withdrawalSequence),
      expiry: BigInt(withdrawal.expiry),
      maxFee: BigInt(withdrawal.maxFee) * asset.quantumUnits,
    });
    const recovered = recoverSigner(digest, withdrawal.signature);
    const signer = recovered.kind === 'recovered' ? recovered.signer : undefined;
    const isSigned = digest === withdrawal.digest && signer === withdrawal.account;
    this.#findings.check('journal_withdrawals', isSigned, {}, () => {
      if (digest !== withdrawal.digest)
        return `the withdrawal ${withdrawal.digest} has terms with the digest ${digest}`;
      return `the withdrawal ${digest} of ${withdrawal.account} was signed by ${signer ?? 'nobody'}`;
    });
  }

  async #checkSigner(order: NewOrder, message: Parameters<RecoveredSigners['recover']>[0]): Promise<void> {
    const signer = await this.#chain.signers.recover(message, order.signature);
    this.#findings.check(
      'journal_orders',
      signer === order.signer,
      { order: order.digest },
      () => `the order was signed by ${signer ?? 'nobody'}, the journal says ${order.signer}`,
    );
  }
}

class ReceiptChecker {
  readonly #model: VaultModel;
  readonly #findings: Findings;
  readonly #unjudged: string[] = [];
  /** In order of their places; those before `#next` are judged. */
  readonly #waiting: readonly Acknowledgement[];
  #next = 0;

  constructor(acknowledgements: readonly Acknowledgement[], model: VaultModel, findings: Findings) {
    this.#waiting = acknowledgements.toSorted((a, b) => a.receipt.sequence - b.receipt.sequence);
    this.#model = model;
    this.#findings = findings;
  }

  check(row: JournalRow, commands: readonly SequencedCommand[]): void {
    const { chainId, vault } = this.#model.parameters;
    for (; ; this.#next++) {
      const first = this.#waiting[this.#next];
      if (first === undefined || first.receipt.sequence > row.lastSequence) return;
      const keys = [...this.#model.engineKeys];
      const verdict = judgeAcknowledgement(first, keys, eip712Domain(chainId, vault), row, commands);
      if (verdict.kind === 'unproven') this.#unjudged.push(verdict.reason);
      else {
        const reason = verdict.kind === 'omitted' ? verdict.reason : '';
        const where = first.order === undefined ? {} : { order: first.order };
        this.#findings.check('receipts', verdict.kind === 'kept', where, () => reason);
      }
    }
  }

  unjudged(): readonly string[] {
    const behind = this.#waiting
      .slice(this.#next)
      .map(({ receipt }) => `the journal ends before the receipt's command ${receipt.sequence}`);
    return [...this.#unjudged, ...behind];
  }
}

function compareBatch({ batch, row }: Seal, settled: SettledBatch, findings: Findings): void {
  const { call, content, transaction } = settled;
  const commits =
    call.journalSequence === batch.journalSequence &&
    call.journalHash === row.hash &&
    row.lastSequence === batch.journalSequence;
  findings.check(
    'journal_commitment',
    commits,
    { transaction },
    () =>
      `batch ${batch.batchId} names the row ${call.journalHash} at ${call.journalSequence}, its seal stands in ${row.hash} at ${batch.journalSequence}`,
  );
  const difference = firstDifference(termsOf(batch), termsOfContent(content));
  findings.check(
    'journal_batches',
    difference === undefined,
    { transaction },
    () => `batch ${batch.batchId} differs from the journal: ${difference}`,
  );
}

type BatchFinal = Extract<EngineEvent, { readonly kind: 'batchFinal' }>;

/** The engine must have ended the trades of the settled content, not those of another cut of the batch. */
function compareEnd(final: BatchFinal, settled: SettledBatch | undefined, findings: Findings): void {
  if (settled === undefined) return;
  const ended = final.settledTrades.length + final.voidedTrades.length;
  const { fills } = settled.content;
  findings.check(
    'journal_batches',
    ended === fills.length,
    { transaction: settled.transaction },
    () => `batch ${final.batchId} settled ${fills.length} trades, by the journal ${ended} of it ended`,
  );
}

/** Everything that decides who gets what, one line each. */
function termsOf(batch: SealedBatch): string[] {
  return [
    ...batch.orders.map((order) =>
      [
        order.account,
        order.lane,
        order.orderSequence,
        order.market,
        order.side,
        order.timeInForce,
        order.postOnly,
        order.sizeLots,
        order.priceTicks,
        order.expiry,
        order.maxFeePpm,
      ].join(' '),
    ),
    ...batch.trades.map((trade) =>
      [trade.takerOrder, trade.makerOrder, trade.sizeLots, trade.takerFeePpm, trade.makerFeePpm].join(' '),
    ),
    ...batch.withdrawals.map((withdrawal) =>
      [
        withdrawal.account,
        withdrawal.asset,
        withdrawal.lane,
        withdrawal.withdrawalSequence,
        withdrawal.amount,
        withdrawal.maxFee,
        withdrawal.fee,
        withdrawal.expiry,
        withdrawal.recipient,
      ].join(' '),
    ),
  ];
}

function termsOfContent(content: Content): string[] {
  return [
    ...content.orders.map((order) =>
      [
        order.account,
        order.lane,
        order.sequence,
        order.market,
        order.side,
        order.timeInForce,
        order.postOnly,
        order.sizeLots,
        order.priceTicks,
        order.expiry,
        order.maxFeePpm,
      ].join(' '),
    ),
    ...content.fills.map((fill) =>
      [fill.taker, fill.maker, fill.sizeLots, fill.takerFeePpm, fill.makerFeePpm].join(' '),
    ),
    ...content.withdrawals.map((withdrawal) =>
      [
        withdrawal.account,
        withdrawal.asset,
        withdrawal.lane,
        withdrawal.sequence,
        withdrawal.amount,
        withdrawal.maxFee,
        withdrawal.fee,
        withdrawal.expiry,
        withdrawal.recipient,
      ].join(' '),
    ),
  ];
}

function firstDifference(sealed: readonly string[], settled: readonly string[]): string | undefined {
  for (let index = 0; index < Math.max(sealed.length, settled.length); index++) {
    if (sealed[index] !== settled[index]) {
      return `item ${index} is "${settled[index] ?? 'missing'}" on chain and "${sealed[index] ?? 'missing'}" by the journal`;
    }
  }
  return undefined;
}
