/** Batches made by hand: any order, signed by anyone or nobody, settled by the engine's key, and what the vault said of each item. */
import {
  type ContentOrder,
  type ContentWithdrawal,
  encodeBatchContent,
  type OrderAuthorisation,
} from '../../../src/chain/batch-codec.ts';
import { inspectVault, type VaultState } from '../../../src/chain/inspect-vault.ts';
import { createVaultDecoder } from '../../../src/chain/vault-events.ts';
import { SKIP_REASONS, type SkipReasonCode } from '../../../src/domain/batches.ts';
import {
  type Address,
  type Hash,
  type Hex,
  lots,
  type Ppm,
  quanta,
  type TimestampSeconds,
} from '../../../src/domain/units.ts';
import type { LocalNode } from '../../../src/services/local-node.ts';
import { type LabOrder, type LabUser, SettlementLab, signCompact, tableOf } from '../../support/settlement-lab.ts';

export type SignedOrder = LabOrder & { readonly authorisation: OrderAuthorisation };
export type OrderTerms = Partial<LabOrder>;
export type Fill = {
  readonly taker: SignedOrder;
  readonly maker: SignedOrder;
  readonly size?: number;
  readonly takerFeePpm?: number;
  readonly makerFeePpm?: number;
};
/** What became of each fill and of each withdrawal: `settled`, `executed`, or the reason. */
export type Settled = { readonly fills: readonly string[]; readonly withdrawals: readonly string[] };

export class HandMadeBatches {
  readonly lab: SettlementLab;
  readonly #decoder = createVaultDecoder();
  #sequence = 0;
  #lane = 1;

  constructor(lab: SettlementLab) {
    this.lab = lab;
  }

  static async on(node: LocalNode): Promise<HandMadeBatches> {
    return new HandMadeBatches(await SettlementLab.create(node));
  }

  /** Users with the same deposit of every asset. */
  async users(names: readonly string[], depositQuanta: number): Promise<LabUser[]> {
    const users = await Promise.all(names.map((name) => this.lab.createFundedUser(name)));
    for (const user of users) for (const asset of [0, 1, 2]) await this.lab.deposit(user, asset, depositQuanta);
    return users;
  }

  /** A sequence of the present time, above all before it. */
  async nextSequence(): Promise<number> {
    this.#sequence = Math.max(this.#sequence + 1, ((await this.lab.now()) - this.lab.deployedAt) * 1000 + 1);
    return this.#sequence;
  }

  /** Terms that settle, on a lane of their own: buy 10 lots at 100 in market 0. */
  async terms(user: LabUser, terms: OrderTerms = {}): Promise<LabOrder> {
    return {
      account: user.address,
      lane: this.#lane++,
      orderSequence: await this.nextSequence(),
      market: 0,
      side: 'buy',
      timeInForce: 'gtc',
      postOnly: false,
      sizeLots: 10,
      priceTicks: 100,
      expiry: (await this.lab.now()) + 7_200,
      maxFeePpm: 1_000,
      ...terms,
    };
  }

  async order(user: LabUser, terms: OrderTerms = {}): Promise<SignedOrder> {
    return this.signed(await this.terms(user, terms), user);
  }

  /** @param signer whose key signs; said to be a session key when `asSession` */
  async signed(order: LabOrder, signer: LabUser, asSession = false): Promise<SignedOrder> {
    const signature = await signCompact(signer.key, this.lab.orderDigest(order));
    return { ...order, authorisation: { kind: asSession ? 'session' : 'owner', signature } };
  }

  async withdrawal(
    user: LabUser,
    terms: Partial<Omit<ContentWithdrawal, 'amount'>> & { readonly amount: number; readonly signer?: LabUser },
  ): Promise<ContentWithdrawal> {
    const { signer, amount, ...given } = terms;
    const unsigned = {
      account: user.address,
      recipient: user.address,
      asset: 1,
      lane: 0,
      withdrawalSequence: await this.nextSequence(),
      amount: quanta(amount),
      maxFee: quanta(10),
      fee: quanta(0),
      expiry: ((await this.lab.now()) + 3_600) as TimestampSeconds,
      native: false,
      ...given,
    };
    const signature = await signCompact((signer ?? user).key, this.lab.withdrawalDigest(unsigned));
    return { contractWallet: false, signature, ...unsigned };
  }

  /** The packed content of these items. */
  content(fills: readonly Fill[], withdrawals: readonly ContentWithdrawal[] = []): Uint8Array {
    const { accounts, markets, indexOf } = tableOf([...new Set(fills.flatMap(({ taker, maker }) => [taker, maker]))]);
    return encodeBatchContent({
      markets,
      accounts: accounts as readonly { account: Address; extraPages: readonly number[]; orders: ContentOrder[] }[],
      fills: fills.map(({ taker, maker, size, takerFeePpm, makerFeePpm }) => ({
        takerOrder: indexOf(taker),
        makerOrder: indexOf(maker),
        sizeLots: lots(size ?? 1),
        takerFeePpm: (takerFeePpm ?? 0) as Ppm,
        makerFeePpm: (makerFeePpm ?? 0) as Ppm,
      })),
      withdrawals,
    });
  }

  /** Settles them as the next batch. */
  async settle(fills: readonly Fill[], withdrawals: readonly ContentWithdrawal[] = []): Promise<Settled> {
    return this.outcome(await this.lab.settle(this.content(fills, withdrawals)), fills.length);
  }

  /** What the vault's event says of a batch. */
  async outcome(transaction: Hash, fillCount: number): Promise<Settled> {
    const receipt = await this.lab.rpc.request('eth_getTransactionReceipt', [transaction]);
    const { logs } = receipt as { logs: { address: Hex; topics: Hex[]; data: Hex }[] };
    for (const log of logs) {
      if (log.address.toLowerCase() !== this.lab.vault) continue;
      const { fact } = this.#decoder.decode(log);
      if (fact.kind !== 'batchSettled') continue;
      const reasons = new Map(fact.skips.map(({ trade, reason }) => [trade, SKIP_REASONS[reason as SkipReasonCode]]));
      return {
        fills: Array.from({ length: fillCount }, (_, index) => reasons.get(index) ?? 'settled'),
        withdrawals: fact.withdrawals.map(({ reason }) => reason),
      };
    }
    throw new Error(`transaction ${transaction} settled no batch`);
  }

  /** How a trade of 1 lot of the order against a fresh one of `other` ends. */
  async tryOne(order: SignedOrder, other: LabUser): Promise<string> {
    const side = order.side === 'buy' ? 'sell' : 'buy';
    const maker = await this.order(other, { side, market: order.market, priceTicks: order.priceTicks });
    return (await this.settle([{ taker: order, maker }])).fills[0] ?? 'missing';
  }

  /** The vault's books now. */
  async books(users: readonly { readonly address: Address }[]): Promise<VaultState> {
    const { hash } = (await this.lab.rpc.request('eth_getBlockByNumber', ['latest', false])) as { hash: Hash };
    const accounts = users.map(({ address }) => address);
    return inspectVault(this.lab.rpc, this.lab.vault, accounts, hash);
  }

  async balances(user: LabUser): Promise<readonly number[]> {
    return (await this.books([user])).accounts[0]?.balances ?? [];
  }
}
