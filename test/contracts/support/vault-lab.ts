/**
 * A vault on an in-process network, users whose keys the test holds, and an engine key that signs any batch, good or bad. Test tokens, real
 * signatures, real transactions; nothing of the exchange's own services.
 */
import { readFile } from 'node:fs/promises';
import { type Contract, ContractFactory, Interface, type InterfaceAbi, type JsonRpcSigner } from 'ethers';
import { network } from 'hardhat';
import secp256k1 from 'secp256k1';
import {
  type BatchContent,
  batchHash,
  type ContentFill,
  type ContentOrder,
  type ContentWithdrawal,
  contentHash,
  encodeBatchContent,
  GENESIS_PARENT,
  type OrderAuthorisation,
} from '../../../src/chain/batch-codec.ts';
import { createDigester, type Digester } from '../../../src/chain/digests.ts';
import { vaultAbi, vaultArtifact } from '../../../src/chain/generated/vault.ts';
import { bytesToHex, hexToBytes } from '../../../src/chain/hex.ts';
import { keccakBytes, keccakText } from '../../../src/chain/keccak.ts';
import { decodeSkips, decodeWithdrawalOutcomes } from '../../../src/chain/vault-events.ts';
import type { WithdrawalOutcome } from '../../../src/domain/batches.ts';
import { pageOfAsset } from '../../../src/domain/markets.ts';
import { packNonce } from '../../../src/domain/orders.ts';
import { eip712Domain } from '../../../src/domain/typed-data.ts';
import type { Address, Hash, Hex } from '../../../src/domain/units.ts';

export type LabUser = { readonly address: Address; readonly key: Uint8Array };
export type LabAsset = {
  readonly symbol: string;
  readonly decimals: number;
  readonly quantum: bigint;
  readonly kind: string;
};
export type LabMarket = {
  readonly base: number;
  readonly quote: number;
  readonly lotQuanta: number;
  readonly tickQuanta: number;
};

export type LabOrder = Omit<ContentOrder, 'authorisation'> & {
  readonly user: LabUser;
  /** How the order is authorised; a function may return any bytes for a signature. */
  readonly by: LabAuthority;
};
export type LabAuthority =
  | { readonly kind: 'owner' }
  | { readonly kind: 'session'; readonly key: LabUser }
  | { readonly kind: 'registered' }
  | { readonly kind: 'verified_owner' }
  | { readonly kind: 'verified_session'; readonly key: LabUser }
  | { readonly kind: 'raw'; readonly authorisation: OrderAuthorisation };

export type LabFill = {
  readonly taker: LabOrder;
  readonly maker: LabOrder;
  readonly size: number;
  readonly takerFeePpm?: number;
  readonly makerFeePpm?: number;
};
export type LabWithdrawal = Omit<ContentWithdrawal, 'signature' | 'account' | 'contractWallet'> & {
  readonly user: LabUser;
  readonly signature: Hex;
  readonly contractWallet: boolean;
  readonly account: Address;
};

export type Settled = {
  readonly gasUsed: bigint;
  readonly eventSequence: bigint;
  readonly batchHash: Hash;
  readonly skips: { trade: number; fault: 'taker' | 'maker'; reason: number }[];
  readonly withdrawals: WithdrawalOutcome[];
};

export type Connection = Awaited<ReturnType<typeof network.create>>;

/** Page 0 holds assets 0 and 1; 2 lies on page 1, 6 on page 2. */
export const ASSETS: readonly LabAsset[] = [
  { symbol: 'WETH', decimals: 18, quantum: 10n ** 9n, kind: 'mocks/TestToken.sol/TestWrappedEther' },
  { symbol: 'USDC', decimals: 6, quantum: 1n, kind: 'mocks/TestToken.sol/TestToken' },
  { symbol: 'WBTC', decimals: 8, quantum: 1n, kind: 'mocks/TestToken.sol/TestToken' },
  { symbol: 'AAA', decimals: 18, quantum: 10n ** 9n, kind: 'mocks/TestToken.sol/TestToken' },
  { symbol: 'BBB', decimals: 0, quantum: 1n, kind: 'mocks/TestToken.sol/TestToken' },
  { symbol: 'CCC', decimals: 24, quantum: 10n ** 15n, kind: 'mocks/TestToken.sol/TestToken' },
  { symbol: 'DDD', decimals: 6, quantum: 1n, kind: 'mocks/TestToken.sol/TestToken' },
];
export const MARKETS: readonly LabMarket[] = [
  { base: 0, quote: 1, lotQuanta: 1_000_000, tickQuanta: 10 },
  { base: 2, quote: 1, lotQuanta: 10_000, tickQuanta: 100 },
  { base: 1, quote: 0, lotQuanta: 1_000, tickQuanta: 7 },
  { base: 3, quote: 2, lotQuanta: 1_000_000, tickQuanta: 1 },
  { base: 6, quote: 2, lotQuanta: 1_000, tickQuanta: 1 },
];
export const GRACE = 3_600;
export const EXIT_DELAY = 7_200;
export const TIMELOCK_DELAY = 14_400;
export const NATIVE: Address = '0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee';
/** Much more than any test moves, far below 2^53. */
export const PLENTY = 10 ** 12;

/** When the chain of a lab with `everySecond` begins: 2026-01-01. */
const GENESIS = 1_767_225_600;

/**
 * A network whose blocks lie exactly a second apart, whatever the wall clock says and however long a test takes: sequences, expiries,
 * digests and signatures are then the same in every run, and so is the gas of their bytes.
 */
async function createSteadyNetwork(): Promise<Connection> {
  const connection = await network.create({ override: { initialDate: new Date(GENESIS * 1_000) } });
  const { provider } = connection;
  const request = provider.request.bind(provider);
  provider.request = async (call) => {
    if (call.method === 'eth_sendTransaction' || call.method === 'eth_sendRawTransaction') {
      const latest = (await request({ method: 'eth_getBlockByNumber', params: ['latest', false] })) as {
        timestamp: Hex;
      };
      await request({ method: 'evm_setNextBlockTimestamp', params: [Number(latest.timestamp) + 1] });
    }
    return request(call);
  };
  return connection;
}

export const vaultInterface = new Interface(vaultAbi as unknown as InterfaceAbi);

export async function artifactOf(source: string): Promise<{ abi: InterfaceAbi; bytecode: string }> {
  return JSON.parse(await readFile(new URL(`../../../artifacts/contracts/${source}.json`, import.meta.url), 'utf8'));
}

export function createUser(name: string): LabUser {
  const key = keccakText(`vault lab ${name}`);
  const publicKey = secp256k1.publicKeyCreate(key, false).subarray(1);
  return { key, address: bytesToHex(keccakBytes(publicKey), 12) };
}

/** 64-byte compact form, low s. */
export function signCompact(user: LabUser, digest: Hash): Hex {
  const { signature, recid } = secp256k1.ecdsaSign(hexToBytes(digest), user.key);
  if (recid === 1) signature[32] = (signature[32] as number) | 0x80;
  return bytesToHex(signature);
}

/** 65 bytes with v = 27 or 28. */
export function signLong(user: LabUser, digest: Hash): Hex {
  const { signature, recid } = secp256k1.ecdsaSign(hexToBytes(digest), user.key);
  return `${bytesToHex(signature)}${recid === 1 ? '1c' : '1b'}`;
}

export class VaultLab {
  readonly connection: Connection;
  readonly deployer: JsonRpcSigner;
  readonly guardian: JsonRpcSigner;
  readonly submitter: JsonRpcSigner;
  readonly collector: Address;
  readonly engine = createUser('engine');
  readonly tokens: Contract[] = [];
  /** As listed; a test that lists another asset adds it here. */
  readonly assets: LabAsset[] = [...ASSETS];
  readonly markets: LabMarket[] = [...MARKETS];
  vault: Contract;
  digester: Digester;
  deployedAt = 0;
  batchId = 0;
  parent: Hash = GENESIS_PARENT;
  /** The last one handed out; set back together with the chain. */
  sequence = 0;

  private constructor(connection: Connection, signers: JsonRpcSigner[]) {
    const [deployer, guardian, submitter, collector] = signers as [
      JsonRpcSigner,
      JsonRpcSigner,
      JsonRpcSigner,
      JsonRpcSigner,
    ];
    this.connection = connection;
    this.deployer = deployer;
    this.guardian = guardian;
    this.submitter = submitter;
    this.collector = collector.address.toLowerCase() as Address;
    this.vault = undefined as unknown as Contract;
    this.digester = undefined as unknown as Digester;
  }

  /**
   * Deploys tokens and vault and lists ASSETS and MARKETS, the deployer still governing.
   *
   * @param options.everySecond blocks lie a second apart instead of following the wall clock, from a fixed genesis on
   */
  static async create(options: { readonly permit2?: Address; readonly everySecond?: boolean } = {}): Promise<VaultLab> {
    const connection = options.everySecond === true ? await createSteadyNetwork() : await network.create();
    const signers = (await connection.ethers.getSigners()) as unknown as JsonRpcSigner[];
    const lab = new VaultLab(connection, signers);
    for (const { kind, symbol, decimals } of ASSETS) {
      const isWrapped = kind.endsWith('TestWrappedEther');
      lab.tokens.push(await lab.deploy(kind, isWrapped ? [] : [symbol, symbol, decimals]));
    }
    const permit2 =
      options.permit2 ?? ((await (await lab.deploy('mocks/TestPermit2.sol/TestPermit2', [])).getAddress()) as Address);
    lab.vault = await lab.deployVault({ permit2 });
    for (const [index, asset] of ASSETS.entries()) await lab.listAsset(lab.tokens[index]!, asset.quantum, 1, asset);
    for (const market of MARKETS) await lab.listMarket(market);
    return lab;
  }

  async deployVault(overrides: Record<string, unknown> = {}): Promise<Contract> {
    const factory = new ContractFactory(vaultAbi as unknown as InterfaceAbi, vaultArtifact.bytecode, this.deployer);
    const vault = await factory.deploy({
      governance: this.deployer.address,
      guardian: this.guardian.address,
      feeCollector: this.collector,
      engineKey: this.engine.address,
      wrappedNative: this.tokens[0] === undefined ? this.collector : await this.tokens[0].getAddress(),
      permit2: this.collector,
      grace: GRACE,
      exitDelay: EXIT_DELAY,
      timelockDelay: TIMELOCK_DELAY,
      takerFeePpm: 50_000,
      makerFeePpm: 50_000,
      ...overrides,
    });
    await vault.waitForDeployment();
    const address = (await vault.getAddress()).toLowerCase() as Address;
    const chainId = Number((await this.connection.ethers.provider.getNetwork()).chainId);
    this.digester = createDigester(eip712Domain(chainId, address));
    this.vault = vault as Contract;
    this.deployedAt = Number(await this.vault['DEPLOYED_AT']!());
    return this.vault;
  }

  async deploy(source: string, args: readonly unknown[]): Promise<Contract> {
    const { abi, bytecode } = await artifactOf(source);
    const contract = await new ContractFactory(abi, bytecode, this.deployer).deploy(...args);
    await contract.waitForDeployment();
    return contract as Contract;
  }

  async listAsset(
    token: Contract,
    quantum: bigint,
    minimum: number,
    shown: { decimals: number; symbol: string },
  ): Promise<void> {
    await this.vault['listAsset']!(await token.getAddress(), quantum, minimum, shown.decimals, shown.symbol);
  }

  async listMarket(market: LabMarket): Promise<void> {
    const [base, quote] = await Promise.all([
      this.tokens[market.base]!.getAddress(),
      this.tokens[market.quote]!.getAddress(),
    ]);
    await this.vault['listMarket']!(base, quote, market.lotQuanta, market.tickQuanta, 1_000_000, 1_000_000);
  }

  /** Credits quanta by a real deposit of the deployer. */
  async fund(user: { readonly address: Address }, asset: number, quanta: number): Promise<void> {
    const token = this.tokens[asset]!;
    const amount = BigInt(quanta) * this.assets[asset]!.quantum;
    await token['mint']!(this.deployer.address, amount);
    const vault = await this.vault.getAddress();
    if ((await token['allowance']!(this.deployer.address, vault)) < amount)
      await token['approve']!(vault, 2n ** 256n - 1n);
    await this.vault['deposit']!(await token.getAddress(), amount, user.address);
  }

  async balance(user: { readonly address: Address }, asset: number): Promise<number> {
    return Number(await this.vault['balanceOf']!(user.address, await this.tokens[asset]!.getAddress()));
  }

  async now(): Promise<number> {
    const block = await this.connection.ethers.provider.getBlock('latest');
    return block!.timestamp;
  }

  async advance(seconds: number): Promise<void> {
    await this.connection.networkHelpers.time.increase(seconds);
  }

  /** A contract with the signer that acts. Users act through impersonation, paid for by the test. */
  async as(user: { readonly address: Address }): Promise<Contract> {
    const { networkHelpers, ethers } = this.connection;
    await networkHelpers.impersonateAccount(user.address);
    await networkHelpers.setBalance(user.address, 10n ** 20n);
    return this.vault.connect((await ethers.getSigner(user.address)) as never) as Contract;
  }

  /** A fresh sequence, rising, never ahead of the chain's time by more than a few milliseconds. */
  async nextSequence(): Promise<number> {
    const age = ((await this.now()) - this.deployedAt) * 1_000;
    this.sequence = Math.max(this.sequence + 1, age + 1);
    return this.sequence;
  }

  async order(user: LabUser, terms: Partial<LabOrder> = {}): Promise<LabOrder> {
    return {
      user,
      lane: 0,
      orderSequence: terms.orderSequence ?? (await this.nextSequence()),
      market: 0,
      side: 'buy',
      timeInForce: 'gtc',
      postOnly: false,
      sizeLots: 10,
      priceTicks: 100,
      expiry: terms.expiry ?? (await this.now()) + 86_400,
      maxFeePpm: 2_000,
      by: { kind: 'owner' },
      ...terms,
    };
  }

  async orderDigest(order: LabOrder): Promise<Hash> {
    const market = this.markets[order.market]!;
    const [base, quote] = [this.assets[market.base]!, this.assets[market.quote]!];
    return this.digester.order({
      account: order.user.address,
      side: order.side,
      baseToken: (await this.tokens[market.base]!.getAddress()).toLowerCase() as Address,
      baseAmount: BigInt(order.sizeLots) * BigInt(market.lotQuanta) * base.quantum,
      quoteToken: (await this.tokens[market.quote]!.getAddress()).toLowerCase() as Address,
      quoteAmount: BigInt(order.sizeLots) * BigInt(order.priceTicks) * BigInt(market.tickQuanta) * quote.quantum,
      timeInForce: order.timeInForce,
      postOnly: order.postOnly,
      nonce: packNonce(order.lane, order.orderSequence),
      expiry: BigInt(order.expiry),
      maxFeePpm: order.maxFeePpm,
    });
  }

  async authorise(order: LabOrder): Promise<OrderAuthorisation> {
    switch (order.by.kind) {
      case 'owner':
        return { kind: 'owner', signature: signCompact(order.user, await this.orderDigest(order)) };
      case 'session':
        return { kind: 'session', signature: signCompact(order.by.key, await this.orderDigest(order)) };
      case 'verified_session':
        return { kind: 'verified_session', key: order.by.key.address };
      case 'raw':
        return order.by.authorisation;
      default:
        return { kind: order.by.kind };
    }
  }

  async withdrawal(
    user: LabUser,
    terms: Partial<LabWithdrawal> & { readonly signer?: LabUser } = {},
  ): Promise<LabWithdrawal> {
    const { signer = user, ...given } = terms;
    const account = given.account ?? user.address;
    const base = {
      user,
      account,
      recipient: account,
      asset: 1,
      lane: 0,
      withdrawalSequence: given.withdrawalSequence ?? (await this.nextSequence()),
      amount: 100,
      maxFee: 10,
      fee: 5,
      expiry: (await this.now()) + 86_400,
      native: false,
      contractWallet: false,
      ...given,
    } as LabWithdrawal;
    const digest = await this.withdrawalDigest(base);
    const signature = given.signature ?? (base.contractWallet ? signLong(signer, digest) : signCompact(signer, digest));
    return { ...base, signature };
  }

  async withdrawalDigest(withdrawal: LabWithdrawal): Promise<Hash> {
    const quantum = this.assets[withdrawal.asset]?.quantum ?? 1n;
    const token = withdrawal.native ? NATIVE : await this.tokens[withdrawal.asset]?.getAddress();
    return this.digester.withdrawal({
      account: withdrawal.account,
      token: (token ?? NATIVE).toLowerCase() as Address,
      amount: BigInt(withdrawal.amount) * quantum,
      recipient: withdrawal.recipient,
      nonce: packNonce(withdrawal.lane, withdrawal.withdrawalSequence),
      expiry: BigInt(withdrawal.expiry),
      maxFee: BigInt(withdrawal.maxFee) * quantum,
    });
  }

  /** Sorts orders and accounts as the format asks, lists their pages, signs. */
  async content(parts: {
    readonly fills?: readonly LabFill[];
    readonly extraOrders?: readonly LabOrder[];
    readonly withdrawals?: readonly LabWithdrawal[];
  }): Promise<BatchContent> {
    const { fills = [], extraOrders = [], withdrawals = [] } = parts;
    const orders = [...new Set([...fills.flatMap(({ taker, maker }) => [taker, maker]), ...extraOrders])];
    orders.sort(
      (a, b) =>
        (a.user.address < b.user.address ? -1 : a.user.address > b.user.address ? 1 : 0) ||
        a.lane - b.lane ||
        a.orderSequence - b.orderSequence,
    );
    const accounts: { account: Address; extraPages: number[]; orders: ContentOrder[] }[] = [];
    for (const order of orders) {
      let last = accounts.at(-1);
      if (last?.account !== order.user.address) {
        last = { account: order.user.address, extraPages: [], orders: [] };
        accounts.push(last);
      }
      const market = this.markets[order.market];
      for (const asset of market === undefined ? [] : [market.base, market.quote]) {
        const { page } = pageOfAsset(asset);
        if (page > 0 && !last.extraPages.includes(page)) last.extraPages.push(page);
      }
      last.extraPages.sort((a, b) => a - b);
      const { user: _, by: __, ...terms } = order;
      last.orders.push({ ...terms, authorisation: await this.authorise(order) });
    }
    const position = new Map(orders.map((order, index) => [order, index]));
    return {
      markets: [...new Set(orders.map(({ market }) => market))].sort((a, b) => a - b),
      accounts,
      fills: fills.map(
        ({ taker, maker, size, takerFeePpm = 1_000, makerFeePpm = 500 }) =>
          ({
            takerOrder: position.get(taker),
            makerOrder: position.get(maker),
            sizeLots: size,
            takerFeePpm,
            makerFeePpm,
          }) as ContentFill,
      ),
      withdrawals: withdrawals.map(({ user: _, ...withdrawal }) => withdrawal),
    };
  }

  /** The arguments of `settle` for the next batch, signed. */
  signBatch(
    content: Uint8Array,
    overrides: Partial<{ id: number; parent: Hash; epoch: number; key: LabUser; journalSequence: number }> = {},
  ) {
    const batch = {
      id: overrides.id ?? this.batchId + 1,
      parent: overrides.parent ?? this.parent,
      epoch: overrides.epoch ?? 1,
      journalSequence: overrides.journalSequence ?? 7,
      journalHash: `0x${'ab'.repeat(32)}` as Hash,
    };
    const hash = contentHash(content);
    const digest = this.digester.batch({
      id: BigInt(batch.id),
      parent: batch.parent,
      contentHash: hash,
      epoch: BigInt(batch.epoch),
      journalSequence: BigInt(batch.journalSequence),
      journalHash: batch.journalHash,
    });
    const signature = signCompact(overrides.key ?? this.engine, digest);
    const halves = [signature.slice(0, 66), `0x${signature.slice(66)}`] as const;
    return { args: [batch, bytesToHex(content), ...halves] as const, hash: batchHash({ ...batch, contentHash: hash }) };
  }

  /** Settles bytes as the next batch. @throws what the vault reverts with. */
  async settleBytes(
    content: Uint8Array,
    overrides: Parameters<VaultLab['signBatch']>[1] = {},
    gasLimit = 16_000_000,
  ): Promise<Settled> {
    const { args, hash } = this.signBatch(content, overrides);
    const vault = this.vault.connect(this.submitter) as Contract;
    const response = await vault['settle']!(...args, { gasLimit });
    const receipt = await response.wait();
    this.batchId += 1;
    this.parent = hash;
    const settled = receipt.logs
      .filter((log: { address: string }) => log.address === this.vault.target)
      .map((log: { topics: string[]; data: string }) => vaultInterface.parseLog(log))
      .find((log: { name: string } | null) => log?.name === 'BatchSettled');
    return {
      gasUsed: receipt.gasUsed,
      eventSequence: settled.args['eventSequence'],
      batchHash: settled.args['batchHash'],
      skips: decodeSkips(hexToBytes(settled.args['skips'])),
      withdrawals: decodeWithdrawalOutcomes(hexToBytes(settled.args['withdrawals'])),
    };
  }

  async settle(parts: Parameters<VaultLab['content']>[0]): Promise<Settled> {
    return this.settleBytes(encodeBatchContent(await this.content(parts)));
  }

  /** Booked totals equal the accounts' balances and fees, and the vault holds at least as much (P4). */
  async inspect(users: readonly { readonly address: Address }[]) {
    return this.vault['inspect']!(users.map(({ address }) => address));
  }
}

/** Name of the custom error that a call reverts with; `undefined` when it does not revert. */
export async function revertOf(
  call: Promise<unknown>,
): Promise<{ name: string; args: readonly unknown[] } | undefined> {
  try {
    const response = (await call) as { wait?: () => Promise<unknown> } | undefined;
    await response?.wait?.();
    return undefined;
  } catch (error) {
    const data = findRevertData(error);
    if (data === undefined) throw error;
    // Nothing came back: out of gas.
    if (data === '0x') return { name: 'nothing', args: [] };
    const parsed = vaultInterface.parseError(data);
    return parsed === null ? { name: data, args: [] } : { name: parsed.name, args: [...parsed.args] };
  }
}

function findRevertData(error: unknown, depth = 0): string | undefined {
  if (depth > 6 || error === null || typeof error !== 'object') return undefined;
  const { data, error: inner, cause, info } = error as Record<string, unknown>;
  if (typeof data === 'string' && data.startsWith('0x')) return data;
  if (data !== null && typeof data === 'object') {
    const nested = findRevertData(data, depth + 1);
    if (nested !== undefined) return nested;
  }
  return findRevertData(inner, depth + 1) ?? findRevertData(cause, depth + 1) ?? findRevertData(info, depth + 1);
}
