/**
 * From a sealed batch to the outbox: its content is assembled with the users' signatures from the journal, linked to the batch
 * before, signed by the engine key, and inserted once.
 *
 * Invariants:
 * 1. Everything that is signed follows from the journal: publishing a batch again, after a crash or by a successor, gives the same
 *    content. The first signature persisted is the one used, unless its key was revoked: then the successor signs the same content again,
 *    under a higher epoch. Another content by the same seal is a broken invariant and stops the engine.
 * 2. An id has several contents only where batches were resealed. Of those that follow the same batch all but the first are by a
 *    reseal; another seal there is a broken invariant too.
 * 3. No user signature is passed on unchecked: a signature that does not recover to the order's signer means that the journal is
 *    damaged, and nothing is signed over it.
 * 4. Batches are published in order, since each names its parent: the batch before it in the engine's present cut, which is the one that
 *    was published (or found published) before it, or, once that is settled, the one that the vault has taken.
 */
import assert from 'node:assert/strict';
import type { Pool } from 'pg';
import {
  batchHash,
  contentHash,
  contentOfSealedBatch,
  decodeBatchContent,
  encodeBatchContent,
} from '../chain/batch-codec.ts';
import { type BatchMessage, createDigester, type Digester } from '../chain/digests.ts';
import { recoverSigner } from '../chain/recover.ts';
import type { SealedBatch } from '../domain/batches.ts';
import type { Command } from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Hash, Hex } from '../domain/units.ts';
import { isDatabaseTrouble } from '../storage/database-trouble.ts';
import type { ReadCommands } from './journal-commands.ts';
import type { BatchKey } from './outbox.ts';
import { type KnownBatch, type PublishedBatch, readParent, readPublished } from './published-batches.ts';
import { type EngineSigner, signBatchChecked } from './signers.ts';

/** How long checking signatures keeps the thread at most. */
const TASK_MAX_MS = 4;

export type PublisherOptions = {
  readonly pool: Pool;
  readonly domain: Eip712Domain;
  readonly signer: EngineSigner;
  readonly readCommands: ReadCommands;
  /** Assets of a listed market. */
  readonly market: (index: number) => { readonly baseAsset: number; readonly quoteAsset: number } | undefined;
  /** The vault refuses batches of an older epoch: it rises when the guardian revokes an engine key. 0 by default. */
  readonly epochMin?: number;
};

export type SealedBatchAtRow = {
  readonly batch: SealedBatch;
  /** Hash of the journal row that ends with the seal. */
  readonly journalHash: Hash;
  /** The seal's time. */
  readonly sealedAtMs: number;
};

export type Publisher = {
  /**
   * Publishes a batch, or finds it published. Calls run one after the other, in the order they are made.
   * @throws ExchangeError NOT_READY (retryable) when the batch before is not published, the database is away or the signer does not answer;
   *   JOURNAL_CORRUPT when a signature is not what it must be; INTERNAL when the signer returns something else than was asked for.
   */
  readonly publish: (sealed: SealedBatchAtRow) => Promise<PublishedBatch>;
  /** Of the content that this publisher has published, or found published, for the seal; undefined while it has not. */
  readonly contentHashOf: (batch: BatchKey) => Hash | undefined;
  /** The batch is final, and so no batch before it will be asked for or linked to any more. */
  readonly forgetBefore: (batchId: number) => void;
};

export function createPublisher(options: PublisherOptions): Publisher {
  const digester = createDigester(options.domain);
  const present: PresentCut = new Map();
  let last: Promise<unknown> = Promise.resolve();
  return {
    publish: (sealed) => {
      const published = last.then(() => publishNext(options, digester, present, sealed)).catch(asOperational);
      last = published.catch(() => undefined);
      return published;
    },
    contentHashOf: ({ batchId, journalSequence }) => {
      const known = present.get(batchId);
      return known?.journalSequence === journalSequence ? known.contentHash : undefined;
    },
    forgetBefore: (batchId) => {
      for (const known of present.keys()) if (known < batchId) present.delete(known);
    },
  };
}

/** What was published for the batches in flight, by id. */
type PresentCut = Map<number, BatchKey & Pick<PublishedBatch, 'contentHash' | 'batchHash'>>;

async function publishNext(
  options: PublisherOptions,
  digester: Digester,
  present: PresentCut,
  sealed: SealedBatchAtRow,
): Promise<PublishedBatch> {
  const { batchId, journalSequence } = sealed.batch;
  const parentHash = present.get(batchId - 1)?.batchHash ?? (await readParent(options.pool, batchId));
  const published = await publishOne(options, digester, sealed, parentHash);
  // A batch that is told again begins another cut: what stood at its id and above is told again too, or is in use no more.
  for (const known of present.keys()) if (known >= batchId) present.delete(known);
  present.set(batchId, { ...published, journalSequence });
  return published;
}

/** A database that is away is worth another try; anything else is not. */
function asOperational(error: unknown): never {
  if (isDatabaseTrouble(error))
    throw new ExchangeError('NOT_READY', 'the database did not take the batch', { cause: error });
  throw error;
}

async function publishOne(
  options: PublisherOptions,
  digester: Digester,
  sealed: SealedBatchAtRow,
  parentHash: Hash,
): Promise<PublishedBatch> {
  const { batch } = sealed;
  const content = await assembleContent(options, batch);
  const hash = contentHash(content);
  const linked = {
    id: batch.batchId,
    parent: parentHash,
    contentHash: hash,
    journalSequence: batch.journalSequence,
    journalHash: sealed.journalHash,
  };
  const unsigned = { batchId: batch.batchId, parentHash, contentHash: hash, batchHash: batchHash(linked) };
  const epoch = Math.max(batch.epoch, options.epochMin ?? 0);
  const message = {
    ...linked,
    id: BigInt(batch.batchId),
    epoch: BigInt(epoch),
    journalSequence: BigInt(batch.journalSequence),
  };
  const known = await readPublished(options.pool, batch);
  if (known !== undefined) {
    requireSame(known.published, unsigned);
    const isOurs =
      isSignedBy(options.signer.address, known, message, digester) && known.epoch >= (options.epochMin ?? 0);
    return isOurs || known.isFinal ? known.published : signAgain(options, digester, batch, known, message);
  }
  await requireOnlySealOf(options, batch, parentHash);
  const engineSignature = await signBatchChecked(options.signer, message, digester);
  const inserted = await options.pool.query(
    `INSERT INTO batches (batch_id, epoch, journal_sequence, journal_hash, parent_hash, content, content_hash, batch_hash,
       engine_signature, trade_count, withdrawal_count, sealed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (batch_id, journal_sequence) DO NOTHING`,
    [
      batch.batchId,
      epoch,
      batch.journalSequence,
      toBuffer(sealed.journalHash),
      toBuffer(parentHash),
      Buffer.from(content),
      toBuffer(hash),
      toBuffer(unsigned.batchHash),
      toBuffer(engineSignature),
      batch.trades.length,
      batch.withdrawals.length,
      new Date(sealed.sealedAtMs),
    ],
  );
  if (inserted.rowCount === 1) return { ...unsigned, engineSignature };
  const winner = await readPublished(options.pool, batch);
  assert.ok(winner !== undefined, `batch ${batch.batchId} is neither in the outbox nor can it be inserted`);
  requireSame(winner.published, unsigned);
  return winner.published;
}

function isSignedBy(address: string, known: KnownBatch, message: BatchMessage, digester: Digester): boolean {
  const recovered = recoverSigner(
    digester.batch({ ...message, epoch: BigInt(known.epoch) }),
    known.published.engineSignature,
  );
  return recovered.kind === 'recovered' && recovered.signer === address;
}

/** The key that signed it is not the active one any more. What was sent under it reverts, and the submitter sends this instead. */
async function signAgain(
  options: PublisherOptions,
  digester: Digester,
  batch: BatchKey,
  known: KnownBatch,
  message: BatchMessage,
): Promise<PublishedBatch> {
  const engineSignature = await signBatchChecked(options.signer, message, digester);
  await options.pool.query(
    `UPDATE batches SET epoch = $3, engine_signature = $4
      WHERE batch_id = $1 AND journal_sequence = $2 AND epoch <= $3`,
    [batch.batchId, batch.journalSequence, Number(message.epoch), toBuffer(engineSignature)],
  );
  return { ...known.published, engineSignature };
}

/** The packed content, with every signature checked against its digest. */
async function assembleContent(options: PublisherOptions, batch: SealedBatch): Promise<Uint8Array> {
  const commands = await options.readCommands([
    ...batch.orders.map((order) => order.placedAt),
    ...batch.withdrawals.map((withdrawal) => withdrawal.requestedAt),
  ]);
  const orderSignatures = await inSlices(batch.orders, (order) => {
    const signature = orderSignature(commands.get(order.placedAt), order.digest);
    if (signature !== '0x' || order.signer !== order.account) requireSigner(order.digest, signature, order.signer);
    return signature;
  });
  const withdrawalSignatures = await inSlices(batch.withdrawals, (withdrawal) => {
    const signature = withdrawalSignature(commands.get(withdrawal.requestedAt), withdrawal.digest);
    // A contract wallet's signature is judged by the wallet, on chain.
    if (signature.length === 130) requireSigner(withdrawal.digest, signature, withdrawal.account);
    return signature;
  });
  const content = contentOfSealedBatch(batch, {
    market: (index) => {
      const market = options.market(index);
      assert.ok(market !== undefined, `batch ${batch.batchId} trades on market ${index}, which is not listed`);
      return market;
    },
    orderSignature: (index) => signatureAt(orderSignatures, index),
    withdrawalSignature: (index) => signatureAt(withdrawalSignatures, index),
  });
  const bytes = encodeBatchContent(content);
  await nextTurn();
  assert.deepEqual(decodeBatchContent(bytes), content, `batch ${batch.batchId} does not read back as it was written`);
  return bytes;
}

function signatureAt(signatures: readonly Hex[], index: number): Hex {
  const signature = signatures[index];
  assert.ok(signature !== undefined);
  return signature;
}

/** Some hundred recoveries take tens of milliseconds, and whoever shares this thread must not wait for all of them. */
async function inSlices<T, R>(items: readonly T[], work: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  let beganMs = performance.now();
  for (const item of items) {
    results.push(work(item));
    if (performance.now() - beganMs < TASK_MAX_MS) continue;
    await nextTurn();
    beganMs = performance.now();
  }
  return results;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function orderSignature(command: Command | undefined, digest: Hash): Hex {
  if ((command?.kind === 'placeOrder' || command?.kind === 'replaceOrder') && command.order.digest === digest) {
    return command.order.signature;
  }
  throw new ExchangeError('JOURNAL_CORRUPT', `order ${digest} is not where the journal should have it`);
}

function withdrawalSignature(command: Command | undefined, digest: Hash): Hex {
  if (command?.kind === 'requestWithdrawal' && command.withdrawal.digest === digest)
    return command.withdrawal.signature;
  throw new ExchangeError('JOURNAL_CORRUPT', `withdrawal ${digest} is not where the journal should have it`);
}

function requireSigner(digest: Hash, signature: Hex, signer: string): void {
  const recovered = recoverSigner(digest, signature);
  if (recovered.kind === 'recovered' && recovered.signer === signer) return;
  throw new ExchangeError('JOURNAL_CORRUPT', `the signature of ${digest} is not by ${signer}`, {
    details: { digest, signer, recovered },
  });
}

/** Invariant 2. */
async function requireOnlySealOf({ pool, readCommands }: PublisherOptions, batch: BatchKey, parentHash: Hash) {
  const { rows } = await pool.query<{ journal_sequence: string | number }>(
    'SELECT journal_sequence FROM batches WHERE batch_id = $1 AND parent_hash = $2 LIMIT 1',
    [batch.batchId, toBuffer(parentHash)],
  );
  const [other] = rows;
  if (other === undefined) return;
  const seal = (await readCommands([batch.journalSequence])).get(batch.journalSequence);
  assert.equal(
    seal?.kind,
    'resealBatch',
    `batch ${batch.batchId} was sealed by command ${other.journal_sequence}, and comes again from command ${batch.journalSequence}, which is no reseal`,
  );
}

/** The batch hash covers id, parent, content, and journal position and hash. */
function requireSame(published: PublishedBatch, again: Omit<PublishedBatch, 'engineSignature'>): void {
  assert.equal(
    published.batchHash,
    again.batchHash,
    `batch ${again.batchId} was published with content ${published.contentHash}, and comes again with ${again.contentHash}`,
  );
}

const toBuffer = (hex: Hex): Buffer => Buffer.from(hex.slice(2), 'hex');
