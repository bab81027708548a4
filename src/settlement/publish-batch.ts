/**
 * From a sealed batch to the outbox: its content is assembled with the users' signatures from the journal, linked to the batch
 * before, signed by the engine key, and inserted once.
 *
 * Invariants:
 * 1. Everything that is signed follows from the journal: publishing a batch again, after a crash or by a successor, gives the same
 *    content. The first signature persisted is the one used, unless its key was revoked: then the successor signs the same content again,
 *    under a higher epoch. Another content under the same id is a broken invariant and stops the engine.
 * 2. No user signature is passed on unchecked: a signature that does not recover to the order's signer means that the journal is
 *    damaged, and nothing is signed over it.
 * 3. Batches are published in order, since each names its parent.
 */
import assert from 'node:assert/strict';
import type { Pool } from 'pg';
import {
  batchHash,
  contentHash,
  contentOfSealedBatch,
  decodeBatchContent,
  encodeBatchContent,
  GENESIS_PARENT,
} from '../chain/batch-codec.ts';
import { type BatchMessage, createDigester, type Digester } from '../chain/digests.ts';
import { bytesToHex } from '../chain/hex.ts';
import { recoverSigner } from '../chain/recover.ts';
import type { SealedBatch } from '../domain/batches.ts';
import type { Command } from '../domain/commands.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { Hash, Hex } from '../domain/units.ts';
import { isDatabaseTrouble } from '../storage/database-trouble.ts';
import type { ReadCommands } from './journal-commands.ts';
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

export type PublishedBatch = {
  readonly batchId: number;
  readonly parentHash: Hash;
  readonly contentHash: Hash;
  /** The next batch's parent. */
  readonly batchHash: Hash;
  readonly engineSignature: Hex;
};

export type Publisher = {
  /**
   * Publishes a batch, or finds it published. Calls run one after the other, in the order they are made.
   * @throws ExchangeError NOT_READY (retryable) when the batch before is not published, the database is away or the signer does not answer;
   *   JOURNAL_CORRUPT when a signature is not what it must be; INTERNAL when the signer returns something else than was asked for.
   */
  readonly publish: (sealed: SealedBatchAtRow) => Promise<PublishedBatch>;
  /** Id of the last batch in the outbox; 0 when it is empty. What was sealed after it must be published again after a restart. */
  readonly lastPublishedId: () => Promise<number>;
};

export function createPublisher(options: PublisherOptions): Publisher {
  const digester = createDigester(options.domain);
  let last: Promise<unknown> = Promise.resolve();
  return {
    publish: (sealed) => {
      const published = last.then(() => publishOne(options, digester, sealed)).catch(asOperational);
      last = published.catch(() => undefined);
      return published;
    },
    lastPublishedId: async () => {
      const { rows } = await options.pool.query<{ last: string | number }>(
        'SELECT coalesce(max(batch_id), 0) AS last FROM batches',
      );
      return Number(rows[0]?.last ?? 0);
    },
  };
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
): Promise<PublishedBatch> {
  const { batch } = sealed;
  const content = await assembleContent(options, batch);
  const parentHash = await readParent(options.pool, batch.batchId);
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
  const known = await readPublished(options.pool, batch.batchId);
  if (known !== undefined) {
    requireSame(known.published, unsigned);
    const isOurs =
      isSignedBy(options.signer.address, known, message, digester) && known.epoch >= (options.epochMin ?? 0);
    return isOurs || known.isFinal ? known.published : signAgain(options, digester, known, message);
  }
  const engineSignature = await signBatchChecked(options.signer, message, digester);
  const inserted = await options.pool.query(
    `INSERT INTO batches (batch_id, epoch, journal_sequence, journal_hash, parent_hash, content, content_hash, batch_hash,
       engine_signature, trade_count, withdrawal_count, sealed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (batch_id) DO NOTHING`,
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
  const winner = await readPublished(options.pool, batch.batchId);
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
  known: KnownBatch,
  message: BatchMessage,
): Promise<PublishedBatch> {
  const engineSignature = await signBatchChecked(options.signer, message, digester);
  await options.pool.query('UPDATE batches SET epoch = $2, engine_signature = $3 WHERE batch_id = $1 AND epoch <= $2', [
    known.published.batchId,
    Number(message.epoch),
    toBuffer(engineSignature),
  ]);
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

/** Batch hash of the batch before. */
async function readParent(pool: Pool, batchId: number): Promise<Hash> {
  if (batchId === 1) return GENESIS_PARENT;
  const parent = await readPublished(pool, batchId - 1);
  if (parent === undefined) {
    throw new ExchangeError('NOT_READY', `batch ${batchId} cannot be published before batch ${batchId - 1}`);
  }
  return parent.published.batchHash;
}

type KnownBatch = { readonly published: PublishedBatch; readonly epoch: number; readonly isFinal: boolean };

async function readPublished(pool: Pool, batchId: number): Promise<KnownBatch | undefined> {
  const { rows } = await pool.query<{
    parent_hash: Buffer;
    content_hash: Buffer;
    batch_hash: Buffer;
    engine_signature: Buffer;
    epoch: string | number;
    is_final: boolean;
  }>(
    `SELECT b.parent_hash, b.content_hash, b.batch_hash, b.engine_signature, b.epoch, coalesce(s.state = 'final', false) AS is_final
       FROM batches b LEFT JOIN settlements s USING (batch_id) WHERE b.batch_id = $1`,
    [batchId],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const published = {
    batchId,
    parentHash: bytesToHex(row.parent_hash),
    contentHash: bytesToHex(row.content_hash),
    batchHash: bytesToHex(row.batch_hash),
    engineSignature: bytesToHex(row.engine_signature),
  };
  return { published, epoch: Number(row.epoch), isFinal: row.is_final };
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
