/** One batch: from its transaction's calldata to every order, fill and withdrawal, against what the vault reported of it. */
import { batchHash } from '../chain/batch-codec.ts';
import type { Digester } from '../chain/digests.ts';
import { hexToBytes } from '../chain/hex.ts';
import { keccak } from '../chain/keccak.ts';
import { recoverSigner } from '../chain/recover.ts';
import type { Hash, Hex } from '../domain/units.ts';
import type { CheckName, Findings } from './findings.ts';
import { type JudgedBatch, type JudgedOrder, judgeFills, REASON, type Verdict } from './judge-batch.ts';
import { judgeWithdrawal } from './judge-withdrawals.ts';
import { type OrderSigners, trustingSigners } from './order-signers.ts';
import type { PreparedBatch } from './prepare-batches.ts';
import type { ChainEvent, SettleCall } from './read-chain.ts';
import type { Content, ContentOrder } from './read-content.ts';
import type { VaultModel } from './vault-model.ts';

/** A batch as it stands on chain, for comparison with the journal. */
export type SettledBatch = { readonly call: SettleCall; readonly content: Content; readonly transaction: Hash };

export type BatchFigures = {
  fills: number;
  executed: number;
  orders: number;
  withdrawals: number;
  signaturesTrusted: number;
};

type Audited = { readonly settled: SettledBatch; readonly figures: BatchFigures };

/** Reasons that mean that nobody entitled stood behind the order. */
const AUTHORITY: ReadonlySet<number> = new Set([
  REASON.badSignature,
  REASON.sessionKeyInvalid,
  REASON.notRegistered,
  REASON.notVerified,
]);

/** What a batch is judged with. */
export type BatchJudge = {
  readonly model: VaultModel;
  readonly digester: Digester;
  readonly signers: OrderSigners;
  readonly findings: Findings;
  /** Signatures of owners in batches before this block are taken from the vault's word. */
  readonly trustedBefore: number;
};

/** Checks the batch and applies to the model what had to happen. @returns undefined when its content cannot be read */
export function auditBatch(judge: BatchJudge, event: ChainEvent, batch: PreparedBatch): Audited | undefined {
  const { model, digester, findings } = judge;
  const where = { transaction: event.transaction };
  const reported = event.args as {
    id: bigint;
    epoch: bigint;
    contentHash: Hash;
    batchHash: Hash;
    skips: Hex;
    withdrawals: Hex;
  };
  const isCall = 'content' in batch;
  if (!findings.check('calldata', isCall, where, () => String(batch.call)) || !isCall) return undefined;
  const { call, content } = batch;
  checkHeader(model, digester, findings, event, call, reported);
  model.batchId = Number(reported.id);
  model.batchHash = reported.batchHash;
  model.epoch = call.epoch;
  const isPaused = event.blockTime < model.pausedUntil;
  findings.check('governance', !isPaused, where, () => `batch ${call.id} was settled during a pause`);

  const isWellFormed = typeof content !== 'string';
  const complain = (): string => `the content of batch ${call.id} is malformed: ${String(content)}`;
  if (!findings.check('calldata', isWellFormed, where, complain) || !isWellFormed) return undefined;
  const skips = readSkips(reported.skips);
  const isTrusted = event.blockNumber < judge.trustedBefore;
  const signers = isTrusted ? trustingSigners(judge.signers, badlySigned(content, skips)) : judge.signers;
  const judged = judgeFills(model, digester, signers, content, event.blockTime);
  const executed = compareFills(findings, event.transaction, content, judged, skips);
  compareWithdrawals(model, digester, findings, event, content, hexToBytes(reported.withdrawals));
  const figures = {
    fills: content.fills.length,
    executed,
    orders: content.orders.length,
    withdrawals: content.withdrawals.length,
    signaturesTrusted: isTrusted ? content.orders.filter(({ authorisation }) => authorisation === 'owner').length : 0,
  };
  return { settled: { call, content, transaction: event.transaction }, figures };
}

/** The orders that the vault itself found to be badly signed. */
function badlySigned(content: Content, skips: ReadonlyMap<number, Verdict>): Set<ContentOrder> {
  const orders = [...skips].flatMap(([index, { reason, fault }]) => {
    const fill = content.fills[index];
    const order = fill === undefined ? undefined : content.orders[fault === 'maker' ? fill.maker : fill.taker];
    return reason === REASON.badSignature && order !== undefined ? [order] : [];
  });
  return new Set(orders);
}

function checkHeader(
  model: VaultModel,
  digester: Digester,
  findings: Findings,
  event: ChainEvent,
  call: SettleCall,
  reported: { id: bigint; epoch: bigint; contentHash: Hash; batchHash: Hash },
): void {
  const where = { transaction: event.transaction };
  const expect = (check: CheckName, holds: boolean, reason: () => string): boolean =>
    findings.check(check, holds, where, reason);
  const contentHash = keccak(call.content);
  expect(
    'content_hash',
    contentHash === reported.contentHash,
    () => `the content hashes to ${contentHash}, the vault reports ${reported.contentHash}`,
  );
  const isNext = call.id === model.batchId + 1 && Number(reported.id) === call.id;
  expect('batch_order', isNext, () => `batch ${call.id} (reported as ${reported.id}) follows batch ${model.batchId}`);
  expect(
    'batch_order',
    call.parent === model.batchHash,
    () => `batch ${call.id} names the parent ${call.parent}, its parent is ${model.batchHash}`,
  );
  const isEpochGood = call.epoch >= model.epoch && Number(reported.epoch) === call.epoch;
  expect(
    'batch_order',
    isEpochGood,
    () => `batch ${call.id} of epoch ${call.epoch} (reported as ${reported.epoch}) follows epoch ${model.epoch}`,
  );
  const message = {
    id: BigInt(call.id),
    parent: call.parent,
    contentHash,
    epoch: BigInt(call.epoch),
    journalSequence: BigInt(call.journalSequence),
    journalHash: call.journalHash,
  };
  const hash = batchHash({ ...call, contentHash });
  expect(
    'batch_order',
    hash === reported.batchHash,
    () => `batch ${call.id} hashes to ${hash}, the vault reports ${reported.batchHash}`,
  );
  const recovered = recoverSigner(digester.batch(message), call.engineSignature);
  const signer = recovered.kind === 'recovered' ? recovered.signer : `nobody (${recovered.reason})`;
  expect(
    'engine_signature',
    signer === model.engineKey,
    () => `batch ${call.id} was signed by ${signer}, the engine key is ${model.engineKey}`,
  );
}

/** @returns how many fills the vault executed */
function compareFills(
  findings: Findings,
  transaction: Hash,
  content: Content,
  judged: JudgedBatch,
  skips: ReadonlyMap<number, Verdict>,
): number {
  for (const [index, fill] of content.fills.entries()) {
    const expected = judged.verdicts[index] as Verdict;
    const reported = skips.get(index) ?? { reason: 0, fault: 'taker' };
    const blamed = judged.orders[
      (expected.reason === 0 ? reported : expected).fault === 'maker' ? fill.maker : fill.taker
    ] as JudgedOrder;
    const where = { transaction, order: blamed.digest };
    if (reported.reason === 0) {
      const isAuthorised = !AUTHORITY.has(expected.reason);
      const complain = (): string => `fill ${index} was executed, though ${describe(expected)}`;
      if (!findings.check('order_authority', isAuthorised, where, complain)) continue;
    }
    const agrees = expected.reason === reported.reason && (expected.reason === 0 || expected.fault === reported.fault);
    findings.check(
      'fills',
      agrees,
      where,
      () => `fill ${index}: by the rules ${describe(expected)}; the vault says ${describe(reported)}`,
    );
  }
  const isWithin = [...skips.keys()].every((index) => index < content.fills.length);
  findings.check(
    'fills',
    isWithin,
    { transaction },
    () => 'the vault reports a skip of a fill that is not in the batch',
  );
  return content.fills.length - skips.size;
}

const NAMES = new Map<number, string>(Object.entries(REASON).map(([name, number]) => [number, name]));

const describe = ({ reason, fault }: Verdict): string =>
  reason === 0 ? 'executed' : `skipped: ${NAMES.get(reason) ?? reason} (${fault} order)`;

/** 4 bytes each: fill u16, fault u8, reason u8. */
function readSkips(packed: Hex): Map<number, Verdict> {
  const bytes = hexToBytes(packed);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const skips = new Map<number, Verdict>();
  for (let offset = 0; offset + 4 <= bytes.length; offset += 4) {
    const fault = view.getUint8(offset + 2) === 1 ? 'maker' : 'taker';
    skips.set(view.getUint16(offset), { reason: view.getUint8(offset + 3), fault });
  }
  return skips;
}

/** The vault's outcomes take 17 bytes each: index u16, reason u8, amount u56, fee u56. */
function compareWithdrawals(
  model: VaultModel,
  digester: Digester,
  findings: Findings,
  event: ChainEvent,
  content: Content,
  outcomes: Uint8Array,
): void {
  const { transaction } = event;
  const isWhole = outcomes.length === content.withdrawals.length * 17;
  findings.check(
    'withdrawals',
    isWhole,
    { transaction },
    () => `${outcomes.length} bytes report ${content.withdrawals.length} withdrawals`,
  );
  for (const [index, withdrawal] of content.withdrawals.entries()) {
    const record = outcomes.subarray(index * 17, index * 17 + 17);
    const reported = record[2] ?? 0;
    const { digest, outcome } = judgeWithdrawal(model, digester, withdrawal, reported, event.blockTime);
    const where = { transaction, order: digest ?? withdrawal.account };
    findings.check(
      'withdrawals',
      outcome === reported,
      where,
      () => `withdrawal ${index} has the outcome ${reported}, by the rules ${outcome}`,
    );
  }
}
