import assert from 'node:assert/strict';
import pg from 'pg';
import { createWalletClient, http } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import { decodeBatchContent } from '../../src/chain/batch-codec.ts';
import { vaultArtifact } from '../../src/chain/generated/vault.ts';
import { hexToBytes } from '../../src/chain/hex.ts';
import { createVaultDecoder } from '../../src/chain/vault-events.ts';
import type { Command } from '../../src/domain/commands.ts';
import { ExchangeError } from '../../src/domain/errors.ts';
import { LOCAL_MNEMONIC } from '../../src/services/local-node.ts';
import { createJournalCommands } from '../../src/settlement/journal-commands.ts';
import { readBatchToSettle } from '../../src/settlement/outbox.ts';
import { createPublisher, type PublisherOptions } from '../../src/settlement/publish-batch.ts';
import { createLocalEngineSigner } from '../../src/settlement/signers.ts';
import { useTestDatabase } from '../support/database.ts';
import { useLocalNode } from '../support/local-node.ts';
import { createVaultBench, ENGINE_KEY, type VaultBench } from './vault-bench.ts';

describe('publishing sealed batches', () => {
  let pool: pg.Pool;
  let bench: VaultBench;
  after(() => pool.end());
  const database = useTestDatabase();
  const local = useLocalNode({ flags: ['--no-mining'] });

  before(async () => {
    pool = new pg.Pool({ connectionString: database.url() });
    bench = await createVaultBench(local.node().rpcUrl);
  });
  beforeEach(async () => {
    await pool.query('TRUNCATE journal, batches, batch_transactions, settlements');
  });

  const publisher = (changes: Partial<PublisherOptions> = {}) =>
    createPublisher({
      pool,
      domain: bench.domain,
      signer: createLocalEngineSigner(ENGINE_KEY),
      readCommands: createJournalCommands(pool),
      market: () => ({ baseAsset: 0, quoteAsset: 1 }),
      ...changes,
    });
  const count = async (): Promise<number> => Number((await pool.query('SELECT 1 FROM batches')).rowCount);
  const failsWith = (code: string) => (error: unknown) => error instanceof ExchangeError && error.code === code;

  it('assembles content that the vault settles without a skip', async () => {
    const sealed = await bench.seal(pool, 1);
    await publisher().publish(sealed);
    const content = decodeBatchContent(hexToBytes((await readBatchToSettle(pool, sealed.batch)).content));
    assert.equal(content.fills.length, 1);
    const submitter = bench.createSubmitter(pool);
    await submitter.turn();
    await bench.mine();
    const head = (await bench.rpc('eth_getBlockByNumber', 'latest', false)) as { hash: string };
    const logs = (await bench.rpc('eth_getLogs', { blockHash: head.hash, address: bench.vault })) as {
      topics: `0x${string}`[];
      data: `0x${string}`;
    }[];
    assert.equal(logs.length, 1);
    const { name, fact } = createVaultDecoder().decode(logs[0] as (typeof logs)[number]);
    assert.equal(name, 'BatchSettled');
    assert.ok(fact.kind === 'batchSettled');
    assert.deepEqual([fact.batchId, fact.skips, fact.withdrawals], [1, [], []]);
    await submitter.stop();
  });

  it('publishes once, whoever publishes and however often', async () => {
    const sealed = await bench.seal(pool, 1);
    const results = await Promise.all([
      publisher().publish(sealed),
      publisher().publish(sealed),
      publisher().publish(sealed),
    ]);
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[2], results[0]);
    assert.equal(await count(), 1);
  });

  it('links each batch to the one before, and refuses one whose parent is missing', async () => {
    const [first, second, third] = [await bench.seal(pool, 1), await bench.seal(pool, 2), await bench.seal(pool, 3)];
    const one = publisher();
    const parent = await one.publish(first);
    assert.equal((await one.publish(second)).parentHash, parent.batchHash);
    await pool.query('DELETE FROM batches WHERE batch_id = 2');
    const successor = publisher();
    await assert.rejects(successor.publish(third), failsWith('NOT_READY'));
    await successor.publish(second);
    await successor.publish(third);
    assert.equal(await count(), 3);
  });

  it('treats another content under the same id as a broken invariant', async () => {
    const sealed = await bench.seal(pool, 1);
    await publisher().publish(sealed);
    const [trade] = sealed.batch.trades;
    assert.ok(trade !== undefined);
    const other = { ...sealed, batch: { ...sealed.batch, trades: [trade, trade] } };
    await assert.rejects(publisher().publish(other), { name: 'AssertionError' });
    await assert.rejects(publisher().publish({ ...sealed, journalHash: `0x${'99'.repeat(32)}` }), {
      name: 'AssertionError',
    });
    assert.equal(await count(), 1);
  });

  it('takes another content of an id from a reseal only, and links what follows to the one published last', async () => {
    const [first, second] = [await bench.seal(pool, 1), await bench.seal(pool, 2)];
    const readCommands = createJournalCommands(pool);
    const by =
      (command: Command) =>
      async (sequences: readonly number[]): Promise<Map<number, Command>> => {
        const read = new Map(await readCommands(sequences.filter((sequence) => sequence !== 100)));
        return sequences.includes(100) ? read.set(100, command) : read;
      };
    const limits = { tradesMax: 1, withdrawalsMax: 1 };
    const again = {
      ...first,
      batch: { ...first.batch, journalSequence: 100 as never },
      journalHash: `0x${'99'.repeat(32)}`,
    } as const;
    await publisher().publish(first);
    await publisher().publish(second);
    const sealing = publisher({ readCommands: by({ kind: 'sealBatch', ...limits }) });
    await assert.rejects(sealing.publish(again), /comes again from command 100, which is no reseal/);

    const reseal = { kind: 'resealBatch', batchId: 1, contentHashes: [], reason: 'a test', ...limits } as const;
    const one = publisher({ readCommands: by(reseal) });
    const before = await one.publish(first);
    assert.equal((await one.publish(second)).parentHash, before.batchHash);
    const resealed = await one.publish(again);
    assert.deepEqual(
      [one.contentHashOf(again.batch), one.contentHashOf(first.batch), one.contentHashOf(second.batch)],
      [resealed.contentHash, undefined, undefined],
    );
    const next = { ...second, batch: { ...second.batch, journalSequence: 101 as never } };
    assert.equal((await one.publish(next)).parentHash, resealed.batchHash);
    assert.equal(await count(), 4);
    // What follows two contents of one id is known once the vault has settled one of them.
    await assert.rejects(publisher().publish(second), failsWith('NOT_READY'));
  });

  it('signs nothing over a journal whose signatures do not fit', async () => {
    const sealed = await bench.seal(pool, 1);
    const readCommands = createJournalCommands(pool);
    const tampered = async (sequences: readonly number[]): Promise<Map<number, Command>> => {
      const commands = new Map(await readCommands(sequences));
      for (const [sequence, command] of commands) {
        if (command.kind !== 'placeOrder' || command.order.side !== 'buy') continue;
        const signature = `0x${'11'.repeat(64)}` as const;
        commands.set(sequence, { ...command, order: { ...command.order, signature } });
      }
      return commands;
    };
    await assert.rejects(publisher({ readCommands: tampered }).publish(sealed), failsWith('JOURNAL_CORRUPT'));
    await pool.query('TRUNCATE journal');
    await assert.rejects(publisher().publish(sealed), failsWith('JOURNAL_CORRUPT'));
    assert.equal(await count(), 0);
  });

  it('refuses a signature that is not the engine’s, or not of this batch', async () => {
    const sealed = await bench.seal(pool, 1);
    const engine = createLocalEngineSigner(ENGINE_KEY);
    const another = createLocalEngineSigner(`0x${'77'.repeat(32)}`);
    const liars = [
      { ...engine, signBatch: another.signBatch },
      {
        ...engine,
        signBatch: (message: Parameters<typeof engine.signBatch>[0], domain: Parameters<typeof engine.signBatch>[1]) =>
          engine.signBatch({ ...message, id: 2n }, domain),
      },
    ];
    for (const signer of liars) await assert.rejects(publisher({ signer }).publish(sealed), failsWith('INTERNAL'));
    assert.equal(await count(), 0);
  });

  it('signs what has not settled again when the guardian has revoked the key, and the vault takes it', async () => {
    const fresh = await createVaultBench(local.node().rpcUrl);
    const sealed = await fresh.seal(pool, 1);
    const own = { domain: fresh.domain };
    const first = await publisher(own).publish(sealed);
    const successorKey = `0x${'e2'.repeat(32)}` as const;
    const guardian = createWalletClient({
      account: mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 0 }),
      chain: foundry,
      transport: http(fresh.rpcUrl),
    });
    const successor = createLocalEngineSigner(successorKey);
    for (const [functionName, args] of [
      ['registerEngineKey', [successor.address]],
      ['revokeEngineKey', []],
    ] as const) {
      await guardian.writeContract({
        address: fresh.vault,
        abi: vaultArtifact.abi,
        functionName,
        args,
        gas: 1_000_000n,
      } as never);
      await fresh.mine();
    }
    const submitter = fresh.createSubmitter(pool);
    await submitter.turn();
    await fresh.mine();
    assert.equal(await fresh.lastBatchId(), 0, 'the revoked key settles nothing');

    const again = await publisher({ ...own, signer: successor, epochMin: 5 }).publish(sealed);
    assert.equal(again.batchHash, first.batchHash);
    assert.notEqual(again.engineSignature, first.engineSignature);
    assert.deepEqual(await publisher({ ...own, signer: successor, epochMin: 5 }).publish(sealed), again);
    for (let turn = 0; turn < 5 && (await fresh.lastBatchId()) === 0; turn++) {
      await submitter.turn();
      await fresh.mine();
    }
    assert.equal(await fresh.lastBatchId(), 1);
    await submitter.stop();
  });
});
