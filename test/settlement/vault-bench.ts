/** A vault on a local node with two funded traders, and batches of their trades: what tests of settlement start from. */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import {
  type Account,
  createPublicClient,
  createWalletClient,
  http,
  type PublicClient,
  type Hex as ViemHex,
} from 'viem';
import { mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import { toCompactSignature } from '../../src/chain/compact-signature.ts';
import { createDigester, type OrderMessage } from '../../src/chain/digests.ts';
import { testTokenArtifact } from '../../src/chain/generated/test-token.ts';
import { vaultArtifact } from '../../src/chain/generated/vault.ts';
import { createRpcPool, type RpcPool } from '../../src/chain/rpc-pool.ts';
import type { BatchOrder, SealedBatch } from '../../src/domain/batches.ts';
import { encodeSequencedCommand, joinBody } from '../../src/domain/command-codec.ts';
import type { NewOrder, Side } from '../../src/domain/orders.ts';
import { packNonce } from '../../src/domain/orders.ts';
import { type Eip712Domain, eip712Domain, ORDER_TYPES } from '../../src/domain/typed-data.ts';
import {
  type Address,
  type Hash,
  type Hex,
  type JournalSequence,
  lots,
  type Ppm,
  priceTicks,
  type TimestampMs,
  type TimestampSeconds,
} from '../../src/domain/units.ts';
import { LOCAL_MNEMONIC } from '../../src/services/local-node.ts';
import { createJournalCommands } from '../../src/settlement/journal-commands.ts';
import { createPublisher, type Publisher, type SealedBatchAtRow } from '../../src/settlement/publish-batch.ts';
import { createLocalEngineSigner, createLocalTransactionSigner } from '../../src/settlement/signers.ts';
import { createSubmitter, type Submitter, type SubmitterOptions } from '../../src/settlement/submitter.ts';

export const ENGINE_KEY: Hex = `0x${'e1'.repeat(32)}`;
export const SUBMITTER_KEY: Hex = `0x${'5b'.repeat(32)}`;
const MARKET = { baseAsset: 0, quoteAsset: 1 };
const QUANTUM = 10n ** 9n;
const LOT_QUANTA = 1_000;

const lower = (address: string): Address => address.toLowerCase() as Address;

export type VaultBench = {
  readonly rpcUrl: string;
  readonly client: PublicClient;
  readonly vault: Address;
  readonly domain: Eip712Domain;
  readonly deploymentBlock: number;
  readonly submitter: Address;
  readonly rpc: (method: string, ...params: unknown[]) => Promise<unknown>;
  readonly mine: (blocks?: number) => Promise<void>;
  readonly lastBatchId: () => Promise<number>;
  /** A batch of one trade between the two traders, its orders signed and journaled. */
  readonly seal: (pool: pg.Pool, batchId: number) => Promise<SealedBatchAtRow>;
  readonly publisher: (pool: pg.Pool) => Publisher;
  /** Seals and publishes the batches `from` to `to`. */
  readonly publish: (pool: pg.Pool, from: number, to: number) => Promise<void>;
  readonly createSubmitter: (pool: pg.Pool, options?: Partial<SubmitterOptions>) => Submitter;
};

/** Deploys on a node that mines only when told. */
export async function createVaultBench(rpcUrl: string): Promise<VaultBench> {
  const client = createPublicClient({ chain: foundry, transport: http(rpcUrl), cacheTime: 0, pollingInterval: 20 });
  const rpc = (method: string, ...params: unknown[]): Promise<unknown> =>
    client.request({ method, params } as unknown as Parameters<typeof client.request>[0]);
  const mine = async (blocks = 1): Promise<void> => {
    await rpc('anvil_mine', `0x${blocks.toString(16)}`);
  };
  const deployer = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: 0 });
  const traders = [1, 2].map((addressIndex) => mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex }));
  const wallet = (account: Account) => createWalletClient({ account, chain: foundry, transport: http(rpcUrl) });
  const confirm = async (hash: ViemHex) => {
    await mine();
    const receipt = await client.waitForTransactionReceipt({ hash });
    if (receipt.status !== 'success') throw new Error(`setup transaction ${hash} reverted`);
    return receipt;
  };
  const deploy = async (contract: { abi: readonly unknown[]; bytecode: string }, args: readonly unknown[]) => {
    const hash = await wallet(deployer).deployContract({ ...contract, args, gas: 16_000_000n } as never);
    const receipt = await confirm(hash);
    return { address: receipt.contractAddress as Address, block: Number(receipt.blockNumber) };
  };
  const write = async (
    account: Account,
    address: Address,
    abi: readonly unknown[],
    functionName: string,
    args: readonly unknown[],
  ) => confirm(await wallet(account).writeContract({ address, abi, functionName, args, gas: 5_000_000n } as never));

  const engine = privateKeyToAccount(ENGINE_KEY);
  const submitter = privateKeyToAccount(SUBMITTER_KEY);
  const parameters = {
    governance: deployer.address,
    guardian: deployer.address,
    feeCollector: deployer.address,
    engineKey: engine.address,
    wrappedNative: `0x${'00'.repeat(20)}`,
    permit2: `0x${'00'.repeat(20)}`,
    grace: 3_600n,
    exitDelay: 7_200n,
    timelockDelay: 86_400n,
    takerFeePpm: 1_000,
    makerFeePpm: 1_000,
  };
  const deployed = await deploy(vaultArtifact, [parameters]);
  const vault = lower(deployed.address);
  const tokens: Address[] = [];
  for (const symbol of ['BASE', 'QUOTE']) {
    const token = lower((await deploy(testTokenArtifact, [symbol, symbol, 18])).address);
    tokens.push(token);
    await write(deployer, vault, vaultArtifact.abi, 'listAsset', [token, QUANTUM, 1n, 18, symbol]);
    for (const trader of traders) {
      await write(trader, token, testTokenArtifact.abi, 'mint', [trader.address, 10n ** 24n]);
      await write(trader, token, testTokenArtifact.abi, 'approve', [vault, 10n ** 24n]);
      await write(trader, vault, vaultArtifact.abi, 'deposit', [token, 10n ** 20n, trader.address]);
    }
  }
  await write(deployer, vault, vaultArtifact.abi, 'listMarket', [
    tokens[0],
    tokens[1],
    BigInt(LOT_QUANTA),
    1n,
    1_000_000,
    1_000_000,
  ]);
  await rpc('anvil_setBalance', submitter.address, `0x${(10n ** 20n).toString(16)}`);

  const domain = eip712Domain(foundry.id, vault);
  const digester = createDigester(domain);
  const sign = async (trader: (typeof traders)[number], side: Side, batchId: number): Promise<NewOrder> => {
    const size = lots(5);
    const price = priceTicks(300);
    const message: OrderMessage = {
      account: lower(trader.address),
      side,
      baseToken: tokens[0] as Address,
      baseAmount: BigInt(size) * BigInt(LOT_QUANTA) * QUANTUM,
      quoteToken: tokens[1] as Address,
      quoteAmount: BigInt(size) * BigInt(price) * QUANTUM,
      timeInForce: 'gtc',
      postOnly: false,
      nonce: packNonce(0, 1_000 + batchId),
      expiry: BigInt(Math.floor(Date.now() / 1000) + 86_400),
      maxFeePpm: 1_000,
    };
    const signature = await trader.signTypedData({ domain, types: ORDER_TYPES, primaryType: 'Order', message });
    return {
      account: message.account,
      market: 0,
      side,
      sizeLots: size,
      priceTicks: price,
      timeInForce: 'gtc',
      postOnly: false,
      lane: 0,
      orderSequence: 1_000 + batchId,
      expiry: Number(message.expiry) as TimestampSeconds,
      maxFeePpm: 1_000 as Ppm,
      signer: message.account,
      digest: digester.order(message),
      signature: toCompactSignature(signature),
      clientOrderId: '',
      selfTradePrevention: 'cancel_newest',
      stop: undefined,
    };
  };

  const bench: VaultBench = {
    rpcUrl,
    client,
    vault,
    domain,
    deploymentBlock: deployed.block,
    submitter: lower(submitter.address),
    rpc,
    mine,
    lastBatchId: async () => {
      const state = await client.readContract({
        address: vault,
        abi: vaultArtifact.abi,
        functionName: 'inspect',
        args: [[]],
      });
      return Number((state as { batchId: bigint }).batchId);
    },
    seal: async (pool, batchId) => {
      const placed = await Promise.all(
        traders.map((trader, index) => sign(trader, index === 0 ? 'sell' : 'buy', batchId)),
      );
      return journalBatch(pool, placed, batchId);
    },
    publisher: (pool) =>
      createPublisher({
        pool,
        domain,
        signer: createLocalEngineSigner(ENGINE_KEY),
        readCommands: createJournalCommands(pool),
        market: (index) => (index === 0 ? MARKET : undefined),
      }),
    publish: async (pool, from, to) => {
      const publisher = bench.publisher(pool);
      for (let batchId = from; batchId <= to; batchId++) await publisher.publish(await bench.seal(pool, batchId));
    },
    createSubmitter: (pool, options = {}) =>
      createSubmitter({
        pool,
        rpc: options.rpc ?? rpcPool(rpcUrl),
        chainId: foundry.id,
        vault,
        deploymentBlock: deployed.block,
        signer: createLocalTransactionSigner(SUBMITTER_KEY),
        finality: { kind: 'confirmations', count: 3 },
        owner: randomBytes(8).toString('hex'),
        leaseMs: 300,
        pollIntervalMs: 50,
        ...options,
      }),
  };
  return bench;
}

export const rpcPool = (...urls: string[]): RpcPool => createRpcPool(urls, { timeoutMs: 3_000, backoffMaxMs: 50 });

/** Journals the two orders and a seal as one row, and states what the engine would have sealed. */
async function journalBatch(pool: pg.Pool, placed: readonly NewOrder[], batchId: number): Promise<SealedBatchAtRow> {
  const first = (batchId - 1) * 3 + 1;
  const timestampMs = Date.now() as TimestampMs;
  const commands = [
    ...placed.map((order) => ({ kind: 'placeOrder' as const, order })),
    { kind: 'sealBatch' as const, tradesMax: 100, withdrawalsMax: 10 },
  ];
  const body = joinBody(
    commands.map((command, index) =>
      encodeSequencedCommand({ sequence: (first + index) as JournalSequence, timestampMs, command }),
    ),
  );
  const rowHash: Hash = `0x${batchId.toString(16).padStart(64, '7')}`;
  const bytes = (hex: Hex): Buffer => Buffer.from(hex.slice(2), 'hex');
  await pool.query(
    `INSERT INTO journal (last_sequence, first_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash)
     VALUES ($1, $2, 1, 1, $3, $4, $4, $5) ON CONFLICT DO NOTHING`,
    [first + 2, first, Buffer.from(body), bytes(`0x${(batchId - 1).toString(16).padStart(64, '7')}`), bytes(rowHash)],
  );
  const orders = placed
    .map((order, index): BatchOrder => ({ ...order, placedAt: (first + index) as JournalSequence }))
    .sort((a, b) => (a.account < b.account ? -1 : 1))
    .map(
      ({
        account,
        signer,
        market,
        side,
        timeInForce,
        postOnly,
        sizeLots,
        priceTicks,
        lane,
        orderSequence,
        expiry,
        maxFeePpm,
        digest,
        placedAt,
      }) => ({
        account,
        signer,
        market,
        side,
        timeInForce,
        postOnly,
        sizeLots,
        priceTicks,
        lane,
        orderSequence,
        expiry,
        maxFeePpm,
        digest,
        placedAt,
      }),
    );
  const seller = orders.findIndex((order) => order.side === 'sell');
  const batch: SealedBatch = {
    batchId,
    epoch: 1,
    journalSequence: (first + 2) as JournalSequence,
    orders,
    trades: [
      {
        tradeId: batchId,
        takerOrder: 1 - seller,
        makerOrder: seller,
        sizeLots: lots(5),
        takerFeePpm: 500 as Ppm,
        makerFeePpm: 0 as Ppm,
      },
    ],
    withdrawals: [],
  };
  return { batch, journalHash: rowHash, sealedAtMs: timestampMs };
}
