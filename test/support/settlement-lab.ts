/**
 * A vault on a fresh node, with users whose keys the test holds and an engine key to sign any batch, good or bad: the place to settle what no
 * honest engine would. Everything goes through real transactions.
 */
import { encodeAbiParameters, encodeDeployData, encodeFunctionData, parseAbi, parseAbiParameters } from 'viem';
import { privateKeyToAddress, sign } from 'viem/accounts';
import {
  type BatchContent,
  batchHash,
  type ContentOrder,
  type ContentWithdrawal,
  contentHash,
  encodeBatchContent,
  GENESIS_PARENT,
} from '../../src/chain/batch-codec.ts';
import { createDigester, type Digester } from '../../src/chain/digests.ts';
import { testTokenArtifact } from '../../src/chain/generated/test-token.ts';
import { testWrappedEtherArtifact } from '../../src/chain/generated/test-wrapped-ether.ts';
import { vaultArtifact } from '../../src/chain/generated/vault.ts';
import { bytesToHex } from '../../src/chain/hex.ts';
import { keccakText } from '../../src/chain/keccak.ts';
import { createRpcEndpoint, type RpcEndpoint } from '../../src/chain/rpc-pool.ts';
import { packNonce } from '../../src/domain/orders.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Address, Hash, Hex } from '../../src/domain/units.ts';
import type { LocalNode } from '../../src/services/local-node.ts';

export type LabUser = { readonly address: Address; readonly key: Hex };

/** Asset 0 and 1 lie on page 0, asset 2 on page 1. */
export const LAB_ASSETS = [
  { symbol: 'WETH', decimals: 18, quantumUnits: 10n ** 9n },
  { symbol: 'USDC', decimals: 6, quantumUnits: 1n },
  { symbol: 'WBTC', decimals: 8, quantumUnits: 1n },
] as const;
export const LAB_MARKETS = [
  { base: 0, quote: 1, lotQuanta: 1_000_000, tickQuanta: 10 },
  { base: 2, quote: 1, lotQuanta: 1_000, tickQuanta: 5 },
] as const;
export const LAB_GRACE = 600;
export const LAB_EXIT_DELAY = 1_200;

const CALLS = parseAbi([
  'function mint(address to, uint256 amount)',
  'function approve(address spender, uint256 amount) returns (bool)',
  'function deposit(address token, uint256 amount, address beneficiary)',
  'function listAsset(address token, uint64 quantum, uint64 minimumDeposit, uint8 decimals, string symbol)',
  'function listMarket(address baseToken, address quoteToken, uint64 lotQuanta, uint64 tickQuanta, uint40 maxSizeLots, uint32 maxPriceTicks)',
  'function cancelAll()',
  'function requestExit(address token)',
  'function cancelExit(address token)',
  'function exit(address token, address recipient)',
  'function authorizeSessionKey(address key, uint64 expiry, uint256 marketMask)',
  'function revokeSessionKey(address key)',
  'function registerOrder(address account, bytes32 digest, bytes signature)',
  'function setFees(uint16 takerFeePpm, uint16 makerFeePpm)',
  'function delistMarket(uint16 market)',
  'function collectFees(address token)',
  'function setOutflowLimit(address token, uint64 limitQuanta, uint32 windowSeconds)',
  'struct Batch { uint64 id; bytes32 parent; uint64 epoch; uint64 journalSequence; bytes32 journalHash; }',
  'function settle(Batch batch, bytes content, bytes32 engineSignatureR, bytes32 engineSignatureVs)',
]);

/** An order's terms; the lab fills in the rest. */
export type LabOrder = Omit<ContentOrder, 'authorisation'> & { readonly account: Address };

export type SettleOptions = {
  readonly epoch?: number;
  readonly journalSequence?: number;
  readonly journalHash?: Hash;
  readonly parent?: Hash;
};

type LabParts = {
  readonly node: LocalNode;
  readonly rpc: RpcEndpoint;
  readonly vault: Address;
  readonly tokens: readonly Address[];
  readonly digester: Digester;
  readonly engine: LabUser;
  readonly deployer: Address;
  readonly submitter: Address;
  readonly deploymentBlock: number;
  readonly deployedAt: number;
};

export class SettlementLab implements LabParts {
  readonly node: LocalNode;
  readonly rpc: RpcEndpoint;
  readonly vault: Address;
  readonly tokens: readonly Address[];
  readonly digester: Digester;
  readonly engine: LabUser;
  readonly deployer: Address;
  readonly submitter: Address;
  readonly deploymentBlock: number;
  readonly deployedAt: number;
  batchId = 0;
  parent: Hash = GENESIS_PARENT;

  private constructor(parts: LabParts) {
    this.node = parts.node;
    this.rpc = parts.rpc;
    this.vault = parts.vault;
    this.tokens = parts.tokens;
    this.digester = parts.digester;
    this.engine = parts.engine;
    this.deployer = parts.deployer;
    this.submitter = parts.submitter;
    this.deploymentBlock = parts.deploymentBlock;
    this.deployedAt = parts.deployedAt;
  }

  /** Deploys tokens and vault and lists LAB_ASSETS and LAB_MARKETS. */
  static async create(node: LocalNode): Promise<SettlementLab> {
    const rpc = createRpcEndpoint(node.rpcUrl);
    await rpc.request('anvil_autoImpersonateAccount', [true]);
    const [deployer, submitter, collector] = (await rpc.request('eth_accounts', [])) as [Address, Address, Address];
    const engine = createUser('engine');
    const tokens: Address[] = [];
    for (const { symbol, decimals } of LAB_ASSETS) {
      const deployed =
        symbol === 'WETH'
          ? await deploy(rpc, deployer, testWrappedEtherArtifact, [])
          : await deploy(rpc, deployer, testTokenArtifact, [symbol, symbol, decimals]);
      tokens.push(deployed.address);
    }
    const parameters = {
      governance: deployer,
      guardian: deployer,
      feeCollector: collector,
      engineKey: engine.address,
      wrappedNative: tokens[0],
      permit2: collector,
      grace: LAB_GRACE,
      exitDelay: LAB_EXIT_DELAY,
      timelockDelay: LAB_EXIT_DELAY * 2,
      takerFeePpm: 1_000,
      makerFeePpm: 500,
    };
    const { address: vault, block, time } = await deploy(rpc, deployer, vaultArtifact, [parameters]);
    const digester = createDigester(eip712Domain(node.chainId, vault));
    const places = { deploymentBlock: block, deployedAt: time };
    const lab = new SettlementLab({ node, rpc, vault, tokens, digester, engine, deployer, submitter, ...places });
    for (const [index, asset] of LAB_ASSETS.entries()) {
      const args = [tokens[index], asset.quantumUnits, 1n, asset.decimals, asset.symbol];
      await lab.send(deployer, vault, 'listAsset', args);
    }
    for (const market of LAB_MARKETS) {
      const args = [
        tokens[market.base],
        tokens[market.quote],
        BigInt(market.lotQuanta),
        BigInt(market.tickQuanta),
        100_000,
        1_000_000,
      ];
      await lab.send(deployer, vault, 'listMarket', args);
    }
    return lab;
  }

  /** Sends one transaction of any account and waits for it. @throws Error when it reverts */
  async send(from: Address, to: Address, functionName: string, args: readonly unknown[]): Promise<Hash> {
    const input = encodeFunctionData({ abi: CALLS, functionName, args } as unknown as Parameters<
      typeof encodeFunctionData
    >[0]);
    return this.sendRaw(from, to, input);
  }

  async sendRaw(from: Address, to: Address, input: Hex): Promise<Hash> {
    const hash = (await this.rpc.request('eth_sendTransaction', [{ from, to, data: input, gas: '0xe00000' }])) as Hash;
    const receipt = await receiptOf(this.rpc, hash);
    if (receipt.status === '0x1') return hash;
    // Asking again names the reason.
    await this.rpc.request('eth_call', [{ from, to, data: input, gas: '0xe00000' }, 'latest']);
    throw new Error(`transaction ${hash} of ${from} failed`);
  }

  /** @param label gives the same keys every time */
  async createFundedUser(label: string): Promise<LabUser> {
    const user = createUser(label);
    await this.rpc.request('anvil_setBalance', [user.address, '0xde0b6b3a7640000']);
    return user;
  }

  /** Mints, approves and deposits whole quanta. */
  async deposit(user: LabUser, asset: number, quanta: number): Promise<void> {
    const token = this.tokens[asset] as Address;
    const units = BigInt(quanta) * (LAB_ASSETS[asset]?.quantumUnits ?? 1n);
    await this.send(this.deployer, token, 'mint', [user.address, units]);
    await this.send(user.address, token, 'approve', [this.vault, units]);
    await this.send(user.address, this.vault, 'deposit', [token, units, user.address]);
  }

  /** Seconds since the epoch of the latest block. */
  async now(): Promise<number> {
    const block = (await this.rpc.request('eth_getBlockByNumber', ['latest', false])) as { timestamp: Hex };
    return Number(block.timestamp);
  }

  async passTime(seconds: number): Promise<void> {
    await this.rpc.request('evm_increaseTime', [seconds]);
    await this.rpc.request('evm_mine', []);
  }

  /** EIP-712 digest of an order. */
  orderDigest(order: LabOrder): Hash {
    const market = LAB_MARKETS[order.market] as (typeof LAB_MARKETS)[number];
    const [base, quote] = [LAB_ASSETS[market.base], LAB_ASSETS[market.quote]];
    const size = BigInt(order.sizeLots);
    return this.digester.order({
      account: order.account,
      side: order.side,
      baseToken: this.tokens[market.base] as Address,
      baseAmount: size * BigInt(market.lotQuanta) * base.quantumUnits,
      quoteToken: this.tokens[market.quote] as Address,
      quoteAmount: size * BigInt(order.priceTicks) * BigInt(market.tickQuanta) * quote.quantumUnits,
      timeInForce: order.timeInForce,
      postOnly: order.postOnly,
      nonce: packNonce(order.lane, order.orderSequence),
      expiry: BigInt(order.expiry),
      maxFeePpm: order.maxFeePpm,
    });
  }

  withdrawalDigest(withdrawal: Omit<ContentWithdrawal, 'signature' | 'contractWallet'>): Hash {
    const quantum = LAB_ASSETS[withdrawal.asset]?.quantumUnits ?? 1n;
    return this.digester.withdrawal({
      account: withdrawal.account,
      token: this.tokens[withdrawal.asset] ?? this.vault,
      amount: BigInt(withdrawal.amount) * quantum,
      recipient: withdrawal.recipient,
      nonce: packNonce(withdrawal.lane, withdrawal.withdrawalSequence),
      expiry: BigInt(withdrawal.expiry),
      maxFee: BigInt(withdrawal.maxFee) * quantum,
    });
  }

  /** Call data of `settle` for a content, signed by the engine key, as the batch after the last one. */
  async settleInput(content: Uint8Array, options: SettleOptions = {}): Promise<{ input: Hex; hash: Hash }> {
    const header = {
      id: this.batchId + 1,
      parent: options.parent ?? this.parent,
      journalSequence: options.journalSequence ?? this.batchId + 1,
      journalHash: options.journalHash ?? contentHash(content),
    };
    const epoch = options.epoch ?? 1;
    const digest = this.digester.batch({
      id: BigInt(header.id),
      parent: header.parent,
      contentHash: contentHash(content),
      epoch: BigInt(epoch),
      journalSequence: BigInt(header.journalSequence),
      journalHash: header.journalHash,
    });
    const signature = await signCompact(this.engine.key, digest);
    const batch = {
      ...header,
      id: BigInt(header.id),
      epoch: BigInt(epoch),
      journalSequence: BigInt(header.journalSequence),
    };
    const halves: [Hex, Hex] = [signature.slice(0, 66) as Hex, `0x${signature.slice(66)}`];
    const input = encodeFunctionData({
      abi: CALLS,
      functionName: 'settle',
      args: [batch, bytesToHex(content), ...halves],
    });
    return { input, hash: batchHash({ ...header, contentHash: contentHash(content) }) };
  }

  /** Settles a content as the next batch. */
  async settle(content: BatchContent | Uint8Array, options: SettleOptions = {}): Promise<Hash> {
    const bytes = content instanceof Uint8Array ? content : encodeBatchContent(content);
    const { input, hash } = await this.settleInput(bytes, options);
    const transaction = await this.sendRaw(this.submitter, this.vault, input);
    this.batchId += 1;
    this.parent = hash;
    return transaction;
  }
}

/** @param label gives the same key every time */
export function createUser(label: string): LabUser {
  const key = bytesToHex(keccakText(`settlement lab ${label}`));
  return { key, address: privateKeyToAddress(key).toLowerCase() as Address };
}

/** ERC-2098 signature of a digest. */
export async function signCompact(key: Hex, digest: Hash): Promise<Hex> {
  const { r, s, yParity } = await sign({ hash: digest, privateKey: key });
  const top = (BigInt(s) | (BigInt(yParity ?? 0) << 255n)).toString(16).padStart(64, '0');
  return `0x${r.slice(2).padStart(64, '0')}${top}`;
}

/** Orders by account, in the order the content needs, and how to name each in fills. */
export function tableOf(orders: readonly (LabOrder & { readonly authorisation: ContentOrder['authorisation'] })[]): {
  readonly accounts: BatchContent['accounts'];
  readonly markets: readonly number[];
  readonly indexOf: (order: LabOrder) => number;
} {
  const sorted = orders.toSorted(
    (a, b) =>
      (a.account < b.account ? -1 : a.account > b.account ? 1 : 0) ||
      a.lane - b.lane ||
      a.orderSequence - b.orderSequence,
  );
  const groups = Map.groupBy(sorted, (order) => order.account);
  const accounts = [...groups].map(([account, own]) => ({
    account,
    extraPages: own.some((order) => order.market === 1) ? [1] : [],
    orders: own.map(({ account: _, ...order }) => order),
  }));
  const markets = [...new Set(sorted.map((order) => order.market))].sort((a, b) => a - b);
  return { accounts, markets, indexOf: (order) => sorted.indexOf(order as (typeof sorted)[number]) };
}

type Receipt = { readonly contractAddress: Address; readonly blockNumber: Hex; readonly status: Hex };

/** The node mines at once, but answers before it has. */
async function receiptOf(rpc: RpcEndpoint, hash: Hash): Promise<Receipt> {
  for (;;) {
    const receipt = (await rpc.request('eth_getTransactionReceipt', [hash])) as Receipt | null;
    if (receipt !== null) return receipt;
    await new Promise((wake) => setTimeout(wake, 2));
  }
}

/** Deploys a compiled contract. */
async function deploy(
  rpc: RpcEndpoint,
  from: Address,
  artifact: { readonly contractName: string; readonly abi: readonly unknown[]; readonly bytecode: string },
  args: readonly unknown[],
): Promise<{ address: Address; block: number; time: number }> {
  const input = encodeDeployData({ abi: artifact.abi, bytecode: artifact.bytecode, args } as unknown as Parameters<
    typeof encodeDeployData
  >[0]);
  const hash = await rpc.request('eth_sendTransaction', [{ from, data: input, gas: '0xe00000' }]);
  const receipt = await receiptOf(rpc, hash as Hash);
  if (receipt.status !== '0x1') throw new Error(`${artifact.contractName} could not be deployed`);
  const block = (await rpc.request('eth_getBlockByNumber', [receipt.blockNumber, false])) as { timestamp: Hex };
  return {
    address: receipt.contractAddress.toLowerCase() as Address,
    block: Number(receipt.blockNumber),
    time: Number(block.timestamp),
  };
}

/** Storage slot of an account's page, as the vault lays it out: account (160) · kind (16) · index (80). */
export function pageSlot(account: Address, page = 0): Hex {
  return encodeAbiParameters(parseAbiParameters('uint256'), [(BigInt(account) << 96n) | BigInt(page)]);
}
