/**
 * With the published journal: replay the engine and prove that matching was fair (P10).
 *
 * The journal's rows must be one chain of hashes, its facts from the chain the chain's own, its orders signed. Then the engine, which keeps
 * price-time priority, is run over it again: every batch that it seals must be, order by order and fill by fill, the one that was settled,
 * and the settled one must commit to the very row that ends with its seal. So nothing can have been matched otherwise, slipped in or left
 * out without either the journal's hashes or the batches showing it.
 */
import { createDigester } from '../chain/digests.ts';
import { recoverSigner } from '../chain/recover.ts';
import type { SealedBatch } from '../domain/batches.ts';
import type { ChainFact, SequencedCommand } from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { JournalRow } from '../domain/journal.ts';
import type { NewOrder } from '../domain/orders.ts';
import { eip712Domain } from '../domain/typed-data.ts';
import type { Hash } from '../domain/units.ts';
import { Engine } from '../offchain-engine/engine.ts';
import { JOURNAL_START, verifyRow } from '../offchain-engine/sequencer/journal-row.ts';
import { stateHash } from '../offchain-engine/snapshot.ts';
import type { SettledBatch } from './audit-batch.ts';
import type { Findings } from './findings.ts';
import { orderMessage } from './judge-batch.ts';
import type { Content } from './read-content.ts';
import type { VaultModel } from './vault-model.ts';

export type Replay = {
  readonly commands: number;
  readonly stateHash: Hash;
  /** Settled batches that the journal as given does not reach. */
  readonly unreached: number;
};

/** What the chain showed, for the journal to be held against. */
export type ChainRecord = {
  readonly model: VaultModel;
  readonly settled: ReadonlyMap<number, SettledBatch>;
  /** By event sequence. */
  readonly facts: ReadonlyMap<number, ChainFact>;
};

/** Replays rows from the first one on, up to the first that cannot be trusted. */
export async function replayJournal(
  journal: AsyncIterable<JournalRow> | Iterable<JournalRow>,
  chain: ChainRecord,
  findings: Findings,
): Promise<Replay> {
  const engine = new Engine();
  const unmatched = new Map(chain.settled);
  const checkOrder = orderChecker(chain.model, findings);
  let position = JOURNAL_START;
  try {
    for await (const row of journal) {
      const verified = verifyRow(position, row);
      findings.check('journal_chain', true, {}, () => '');
      position = verified.position;
      for (const sequenced of verified.commands) {
        checkFact(sequenced, chain, findings);
        checkOrder(sequenced);
        for (const event of engine.apply(sequenced).events) {
          if (event.kind !== 'batchSealed') continue;
          compareBatch(event.batch, row, unmatched.get(event.batch.batchId), findings);
          unmatched.delete(event.batch.batchId);
        }
      }
    }
  } catch (error) {
    const isCorrupt = error instanceof ExchangeError && error.code === 'JOURNAL_CORRUPT';
    if (error instanceof ExchangeError && !isCorrupt) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    findings.check(isCorrupt ? 'journal_chain' : 'journal_batches', false, {}, () => reason);
  }
  const replayedTo = engine.lastSequence;
  const unreached = [...unmatched.values()].filter(({ call }) => call.journalSequence > replayedTo);
  for (const { call, transaction } of unmatched.values()) {
    if (call.journalSequence > replayedTo) continue;
    findings.check(
      'journal_batches',
      false,
      { transaction },
      () => `batch ${call.id} was settled, but the journal does not seal it`,
    );
  }
  return { commands: replayedTo, stateHash: stateHash(engine), unreached: unreached.length };
}

/** Facts beyond the audited blocks cannot be held against anything. */
function checkFact({ sequence, command }: SequencedCommand, chain: ChainRecord, findings: Findings): void {
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
  if (!('eventSequence' in command)) return;
  const { eventSequence, ...fact } = command;
  const expected = chain.facts.get(eventSequence);
  if (expected === undefined) return;
  const agrees = canonical(fact) === canonical(expected);
  findings.check(
    'journal_facts',
    agrees,
    {},
    () =>
      `command ${sequence} says of vault event ${eventSequence} ${canonical(fact)}, on chain it is ${canonical(expected)}`,
  );
}

/** JSON with sorted keys, so that the order of members does not matter. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return member.toString();
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Orders must carry the signature of their signer, over what the engine matched. */
function orderChecker(model: VaultModel, findings: Findings): (sequenced: SequencedCommand) => void {
  const digester = createDigester(eip712Domain(model.parameters.chainId, model.parameters.vault));
  const check = (order: NewOrder): void => {
    const market = model.markets[order.market];
    if (market === undefined) return;
    const digest = digester.order(orderMessage(model, { ...order, sequence: order.orderSequence }, market));
    const where = { order: order.digest };
    if (
      !findings.check(
        'journal_orders',
        digest === order.digest,
        where,
        () => `the order's terms have the digest ${digest}`,
      )
    )
      return;
    if (order.signature === '0x') return;
    const recovered = recoverSigner(digest, order.signature);
    const signer = recovered.kind === 'recovered' ? recovered.signer : 'nobody';
    findings.check(
      'journal_orders',
      signer === order.signer,
      where,
      () => `the order was signed by ${signer}, the journal says ${order.signer}`,
    );
  };
  return ({ command }) => {
    if (command.kind === 'placeOrder' || command.kind === 'replaceOrder') check(command.order);
  };
}

function compareBatch(
  batch: SealedBatch,
  row: JournalRow,
  settled: SettledBatch | undefined,
  findings: Findings,
): void {
  // Sealed, but not settled up to the audited block.
  if (settled === undefined) return;
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
