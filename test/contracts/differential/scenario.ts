/**
 * Random life of a vault from a seed: batches good, bad and malformed, and between them everything that users, governance and guardian do on
 * chain. Times are drawn to the boundaries of the rules: GRACE after an expiry, a cancellation, a revocation, a delisting, a lower fee.
 */
import secp256k1 from 'secp256k1';
import { type OrderTerms, orderMessage } from '../../../src/auditor/judge-batch.ts';
import { ALL_MARKETS } from '../../../src/auditor/vault-model.ts';
import { type ContentFill, encodeBatchContent, type OrderAuthorisation } from '../../../src/chain/batch-codec.ts';
import { bytesToHex, hexToBytes } from '../../../src/chain/hex.ts';
import { keccakBytes, keccakText } from '../../../src/chain/keccak.ts';
import { pageOfAsset } from '../../../src/domain/markets.ts';
import { NATIVE_CURRENCY, packNonce } from '../../../src/domain/orders.ts';
import {
  type Address,
  type Hash,
  type Hex,
  lots,
  type Ppm,
  quanta,
  type TimestampSeconds,
} from '../../../src/domain/units.ts';
import { seededRandom } from '../../support/random.ts';
import { createUser, EXIT_DELAY, GRACE, type LabUser, signCompact } from '../support/vault-lab.ts';
import { type Foretold, Twin } from './twin.ts';

type Order = OrderTerms & { readonly user: LabUser; readonly by: OrderAuthorisation };
type Fill = { taker: Order; maker: Order; size: number; takerFeePpm: number; makerFeePpm: number };

const WEEK = 7 * 86_400;
const CROWD = 7;
/** Just above half of the curve's order, and still within 255 bits: the only high s that the compact form can hold. */
const HIGH_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1n;
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const bigHex = (value: bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;

export class Scenario {
  readonly twin: Twin;
  readonly #random: (below: number) => number;
  readonly #users: readonly LabUser[];
  readonly #keys: readonly LabUser[];
  /** Orders of earlier batches, to be filled again. */
  #known: Order[] = [];
  #engines = 1;
  #sequence = 0;
  /** Where most orders of the present batch are. */
  #mainMarket = 0;
  /** Times at which a rule changes its mind. */
  #boundaries: number[] = [];

  private constructor(twin: Twin, random: (below: number) => number, users: LabUser[], keys: LabUser[]) {
    this.twin = twin;
    this.#random = random;
    this.#users = users;
    this.#keys = keys;
  }

  static async create(seed: number): Promise<Scenario> {
    const users = Array.from({ length: CROWD }, (_, index) => createUser(`owner ${index}`));
    const keys = Array.from({ length: 3 }, (_, index) => createUser(`session ${index}`));
    const twin = await Twin.create([...users, ...keys].map(({ address }) => address));
    const scenario = new Scenario(twin, seededRandom(seed), users, keys);
    const { lab } = twin;
    for (const token of lab.tokens) {
      await twin.prepare(lab.deployer.address, token, 'approve', [twin.model.parameters.vault, 2n ** 256n - 1n]);
      await twin.prepare(lab.deployer.address, token, 'mint', [lab.deployer.address, 10n ** 45n]);
    }
    for (const user of users.slice(0, CROWD - 1)) {
      for (const key of keys.slice(0, 2)) {
        await twin.later(1);
        const expiry = twin.now + 20 * 86_400;
        await twin.call(user.address, 'authorizeSessionKey', [key.address, expiry, ALL_MARKETS], {
          events: ['SessionKeyRegistered'],
        });
      }
      for (const asset of [0, 1, 2, 3, 6]) await scenario.#deposit(user, asset, 1_000_000_000);
    }
    return scenario;
  }

  /** One batch, or an attempt at one, and what happens on chain before the next. */
  async step(): Promise<void> {
    // A pause is looked at for a while, not for a week.
    if (this.twin.isPaused && this.#chance(50)) {
      await this.twin.later(1);
      const foretold = this.twin.isPaused ? { events: ['Unpaused'] } : { error: 'BadParameter' };
      await this.twin.call(this.twin.lab.guardian.address, 'unpause', [], foretold);
    }
    await this.twin.later(this.#chance(7) ? this.#boundaryDistance() : 1 + this.#below(20));
    await this.#settle();
    for (let calls = this.#below(3); calls > 0; calls--) {
      await this.twin.later(this.#chance(4) ? this.#boundaryDistance() : 1 + this.#below(40));
      await this.#chainCall();
    }
  }

  #below(limit: number): number {
    return this.#random(limit);
  }

  #chance(percent: number): boolean {
    return this.#random(100) < percent;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random(list.length)] as T;
  }

  /** Seconds to a moment just before, at or after a boundary to come; a while when there is none. */
  #boundaryDistance(): number {
    this.#boundaries = this.#boundaries.filter((time) => time + 1 > this.twin.now);
    if (this.#boundaries.length === 0) return this.#below(GRACE);
    return this.#pick(this.#boundaries) - this.twin.now + this.#below(3) - 1;
  }

  async #settle(): Promise<void> {
    const { twin } = this;
    const content = this.#content();
    if (this.#chance(6)) return twin.settle(content, this.#wrongHeader());
    if (this.#chance(12)) return twin.settle(this.#corrupt(content), this.#engine());
    await twin.settle(content, this.#engine());
  }

  #engine(): { key: LabUser } {
    return { key: createUser(this.#engines === 1 ? 'engine' : `engine ${this.#engines}`) };
  }

  #wrongHeader(): Parameters<Twin['settle']>[1] {
    const { batchId, epoch } = this.twin.model;
    return {
      ...this.#engine(),
      ...this.#pick([
        { id: batchId },
        { id: batchId + 2 },
        { parent: bytesToHex(keccakText('another batch')) as Hash },
        { epoch: epoch - 1 < 0 ? epoch : epoch - 1 },
        { epoch: epoch + this.#below(2) },
        { key: this.#pick(this.#users) },
      ]),
    };
  }

  /** Bytes that the engine signs all the same: some flipped, cut off, added, moved, or nothing but noise. */
  #corrupt(content: Uint8Array): Uint8Array {
    const bytes = [...content];
    const kind = this.#below(6);
    if (kind === 0) return Uint8Array.from({ length: this.#below(200) }, () => this.#below(256));
    if (kind === 1) return Uint8Array.from(bytes.slice(0, this.#below(bytes.length)));
    if (kind === 2 && this.#chance(30)) bytes.push(0);
    else if (kind === 2)
      bytes.splice(
        this.#below(bytes.length + 1),
        0,
        ...Array.from({ length: 1 + this.#below(4) }, () => this.#below(256)),
      );
    if (kind === 3) bytes.splice(this.#below(bytes.length), 1 + this.#below(4));
    if (kind >= 4) {
      // Counts, pages and flags lie at the front; noise further back falls into signatures mostly.
      const end = this.#chance(50) ? Math.min(bytes.length, 120) : bytes.length;
      for (let flips = 1 + this.#below(3); flips > 0; flips--)
        bytes[this.#below(end)] = this.#chance(50) ? this.#below(256) : this.#below(8);
    }
    return Uint8Array.from(bytes);
  }

  #content(): Uint8Array {
    this.#mainMarket = this.#pick([0, 0, 1, 2, 3, 4]);
    const orders = new Map<string, Order>();
    const add = (order: Order): void => {
      orders.set(`${order.account} ${order.lane} ${order.sequence}`, order);
    };
    for (const user of this.#users) {
      if (this.#chance(80)) add(this.#makeOrder(user));
      if (this.#chance(40)) add(this.#makeOrder(user));
    }
    const { now } = this.twin;
    // What has expired long ago is worth no more than a look now and then.
    const reused = this.#known
      .splice(0, this.#known.length)
      .filter(({ expiry }) => expiry + GRACE >= now || this.#chance(10));
    for (const known of reused.slice(-24)) {
      if (this.#chance(25)) add(known.lane > 0 && this.#chance(40) ? { ...known, by: this.#asVerified(known) } : known);
      else this.#known.push(known);
    }
    const table = [...orders.values()].sort(
      (a, b) =>
        (a.account < b.account ? -1 : a.account > b.account ? 1 : 0) || a.lane - b.lane || a.sequence - b.sequence,
    );
    const fills: Fill[] = [];
    const wanted = 8 + this.#below(16);
    for (let tries = 0; table.length > 0 && fills.length < wanted && tries < 60; tries++)
      fills.push(...this.#makeFills(table));
    this.#known.push(...table.filter(({ by }) => by.kind !== 'verified_owner' && by.kind !== 'verified_session'));
    return this.#encode(table, fills);
  }

  #encode(table: readonly Order[], fills: readonly Fill[]): Uint8Array {
    const accounts = [...new Set(table.map(({ account }) => account))].map((account) => {
      const own = table.filter((order) => order.account === account);
      const pages = own.flatMap(({ market }) => {
        const listed = this.twin.model.markets[market];
        return listed === undefined ? [] : [listed.base, listed.quote].map((asset) => pageOfAsset(asset).page);
      });
      // A page too many is allowed; one too few is not.
      if (this.#chance(5)) pages.push(1 + this.#below(255));
      const extraPages = [...new Set(pages)].filter((page) => page > 0).sort((a, b) => a - b);
      if (this.#chance(1)) extraPages.pop();
      const orders = own.map((order) => ({ ...order, orderSequence: order.sequence, authorisation: order.by }));
      return { account, extraPages, orders };
    });
    const markets = [...new Set(table.map(({ market }) => market))].sort((a, b) => a - b);
    const packed = fills.map(
      ({ taker, maker, size, takerFeePpm, makerFeePpm }): ContentFill => ({
        takerOrder: table.indexOf(taker),
        makerOrder: table.indexOf(maker),
        sizeLots: lots(size),
        takerFeePpm: takerFeePpm as Ppm,
        makerFeePpm: makerFeePpm as Ppm,
      }),
    );
    const withdrawals = Array.from({ length: this.#chance(40) ? 1 + this.#below(3) : 0 }, () => this.#makeWithdrawal());
    return encodeBatchContent({ markets, accounts, fills: packed, withdrawals });
  }

  #freshSequence(): number {
    const age = (this.twin.now - this.twin.model.parameters.deployedAt) * 1_000;
    this.#sequence = Math.max(this.#sequence + 1, age);
    return this.#sequence;
  }

  #makeOrder(user: LabUser): Order {
    const { now, model } = this.twin;
    const side = this.#pick(['buy', 'sell'] as const);
    const fresh = this.#freshSequence();
    const ahead = (now - model.parameters.deployedAt + 120) * 1_000;
    const expiry = this.#chance(6) ? now - GRACE + this.#below(3) - 1 : now + this.#below(4_000);
    this.#boundaries.push(expiry + GRACE);
    const terms: OrderTerms = {
      account: user.address,
      lane: this.#pick([0, 0, 0, 1, 2, 65_535]),
      sequence: this.#chance(4) ? this.#pick([0, ahead, ahead + 1, 1 + this.#below(fresh)]) : fresh,
      market: this.#chance(2) ? 9 : this.#chance(70) ? this.#mainMarket : this.#below(5),
      side,
      timeInForce: this.#pick(['gtc', 'gtc', 'gtd', 'gtc', 'ioc', 'fok'] as const),
      postOnly: this.#chance(8),
      sizeLots: 1 + this.#below(40),
      priceTicks: side === 'buy' ? 96 + this.#below(20) : 85 + this.#below(20),
      expiry: this.#chance(2)
        ? model.parameters.deployedAt + 30 * 86_400 + Math.floor(fresh / 1_000) + this.#below(2)
        : expiry,
      maxFeePpm: this.#chance(4) ? this.#pick([50_000, 50_001]) : this.#pick([900, 1_000, 2_000]),
    };
    return { ...terms, user, by: this.#authorise(terms, user) };
  }

  #digest(terms: OrderTerms): Hash {
    const market = this.twin.model.markets[terms.market];
    if (market === undefined) return bytesToHex(keccakText('an order in no market')) as Hash;
    return this.twin.lab.digester.order(orderMessage(this.twin.model, terms, market));
  }

  #authorise(terms: OrderTerms, user: LabUser): OrderAuthorisation {
    const digest = this.#digest(terms);
    const choice = this.#below(100);
    if (choice < 4) return { kind: 'owner', signature: signCompact(this.#pick(this.#users), digest) };
    if (choice < 5) return { kind: 'owner', signature: `0x${'ff'.repeat(64)}` };
    if (choice < 8) return { kind: 'registered' };
    if (choice < 9) return { kind: 'verified_owner' };
    if (choice < 10) return { kind: 'verified_session', key: this.#pick(this.#keys).address };
    if (choice < 30)
      return {
        kind: 'session',
        signature: signCompact(this.#keys[this.#chance(90) ? this.#below(2) : 2] as LabUser, digest),
      };
    return { kind: 'owner', signature: signCompact(user, digest) };
  }

  /** The same order once more, said to have been verified by an earlier batch. */
  #asVerified(order: Order): OrderAuthorisation {
    if (order.by.kind === 'session') return { kind: 'verified_session', key: this.#pick(this.#keys).address };
    return { kind: 'verified_owner' };
  }

  #makeFills(table: readonly Order[]): Fill[] {
    const taker = this.#pick(table);
    const fee = (most: number): number => (this.#chance(4) ? this.#pick([1_001, 2_001, 50_001]) : this.#below(most));
    const to = (maker: Order, size: number): Fill => ({
      taker,
      maker,
      size,
      takerFeePpm: fee(900),
      makerFeePpm: fee(700),
    });
    // Without a look at the price, now and then.
    const isBlind = this.#chance(6);
    const crossing = table.filter(
      (maker) =>
        maker.market === taker.market &&
        maker.side !== taker.side &&
        maker.account !== taker.account &&
        maker.timeInForce !== 'ioc' &&
        maker.timeInForce !== 'fok' &&
        (isBlind || taker.side === 'buy' ? maker.priceTicks <= taker.priceTicks : maker.priceTicks >= taker.priceTicks),
    );
    if (crossing.length === 0 || this.#chance(8))
      return this.#chance(30) ? [to(this.#pick(table), this.#below(30))] : [];
    if (taker.timeInForce !== 'fok') {
      const maker = this.#pick(crossing);
      const most = this.#chance(10) ? 50 : Math.min(taker.sizeLots, maker.sizeLots);
      return [to(maker, this.#chance(2) ? 0 : 1 + this.#below(most))];
    }
    // A run that adds up to the order's size, or does not by a little; sometimes broken by another fill in between.
    const run: Fill[] = [];
    let left = taker.sizeLots + (this.#chance(25) ? this.#below(3) - 1 : 0);
    while (left > 0 && run.length < 4) {
      const maker = this.#pick(crossing);
      const size = run.length === 3 ? left : Math.min(left, 1 + this.#below(maker.sizeLots));
      run.push(to(maker, size));
      left -= size;
    }
    if (run.length > 1 && this.#chance(10))
      run.splice(1, 0, { ...to(this.#pick(crossing), 1), taker: this.#pick(table) });
    return run;
  }

  #makeWithdrawal(): Parameters<typeof encodeBatchContent>[0]['withdrawals'][number] {
    const { now, model, lab } = this.twin;
    const user = this.#pick(this.#users);
    const ahead = (now - model.parameters.deployedAt + 120) * 1_000;
    const amount = this.#below(this.#chance(20) ? 3_000_000_000 : 1_000_000);
    const native = this.#chance(15);
    const asset = native && this.#chance(80) ? 0 : this.#chance(3) ? 7 : this.#pick([0, 1, 2, 3, 6]);
    const terms = {
      account: user.address,
      recipient: this.#chance(70)
        ? user.address
        : this.#pick([
            this.#pick(this.#users).address,
            model.parameters.vault,
            this.#pick(this.twin.tokens),
            `0x${'0'.repeat(40)}` as Address,
          ]),
      asset,
      lane: this.#below(2),
      withdrawalSequence: this.#chance(8)
        ? this.#pick([0, ahead, ahead + 1, 1 + this.#below(this.#sequence + 1)])
        : this.#freshSequence(),
      amount: quanta(amount),
      maxFee: quanta(10),
      fee: quanta(this.#chance(8) ? 11 : this.#below(11)),
      expiry: (this.#chance(10) ? now - this.#below(2) : now + 100) as TimestampSeconds,
      native,
    };
    const listed = model.assets[asset];
    const units = listed?.quantumUnits ?? 1n;
    const digest = lab.digester.withdrawal({
      account: terms.account,
      token: native ? NATIVE_CURRENCY : (listed?.token ?? NATIVE_CURRENCY),
      amount: BigInt(amount) * units,
      recipient: terms.recipient,
      nonce: packNonce(terms.lane, terms.withdrawalSequence),
      expiry: BigInt(terms.expiry),
      maxFee: 10n * units,
    });
    // Session keys, and others, are no good here.
    const signer = this.#chance(15) ? this.#pick([...this.#keys, ...this.#users]) : user;
    return { ...terms, contractWallet: this.#chance(3), signature: signCompact(signer, digest) };
  }

  async #deposit(user: { readonly address: Address }, asset: number, amount: number): Promise<void> {
    const { twin } = this;
    const units = twin.model.assets[asset]?.quantumUnits ?? 1n;
    const foretold: Foretold = twin.isPaused ? { error: 'VaultPaused' } : { events: ['Deposited'] };
    await twin.later(1);
    await twin.call(
      twin.lab.deployer.address,
      'deposit',
      [twin.tokens[asset], BigInt(amount) * units, user.address],
      foretold,
    );
  }

  /** What the specification says of the call at this moment. */
  async #chainCall(): Promise<void> {
    const { twin } = this;
    const { model, now, lab } = twin;
    const user = this.#pick(this.#users);
    const account = twin.account(user.address);
    const asset = this.#pick([0, 1, 2, 3, 6]);
    const token = twin.tokens[asset];
    const paused = twin.isPaused ? 'VaultPaused' : undefined;
    const call = (
      from: string,
      method: string,
      args: readonly unknown[],
      error: string | undefined,
      ...events: string[]
    ) => twin.call(from, method, args, error === undefined ? { events } : { error });
    const owner = (method: string, args: readonly unknown[], error: string | undefined, ...events: string[]) =>
      call(user.address, method, args, error, ...events);
    const govern = (method: string, args: readonly unknown[], error: string | undefined, ...events: string[]) =>
      call(lab.deployer.address, method, args, error, ...events);
    const bindsAt = (stamp: number): number => model.parameters.deployedAt + (stamp - 1) * 60 + GRACE;
    const cancelling = account.firstStamp !== 0 && account.secondStamp !== 0 && now < bindsAt(account.secondStamp);
    const choice = this.#below(100);
    if (choice < 25) return this.#deposit(user, asset, 1 + this.#below(300_000_000));
    if (choice < 33) {
      this.#boundaries.push(bindsAt(Math.floor((now - model.parameters.deployedAt) / 60) + 1));
      return owner('cancelAll', [], cancelling ? 'CancellationPending' : undefined, 'OrdersCancelled');
    }
    if (choice < 40) {
      const pending = account.exits.has(asset);
      this.#boundaries.push(now + EXIT_DELAY);
      const events = cancelling ? ['ExitRequested'] : ['OrdersCancelled', 'ExitRequested'];
      return owner('requestExit', [token], pending ? 'ExitPending' : undefined, ...events);
    }
    if (choice < 43)
      return owner('cancelExit', [token], account.exits.has(asset) ? undefined : 'NoExitRequested', 'ExitCancelled');
    if (choice < 53) {
      // Paused or not; whoever waits for an exit comes first.
      const leaver = this.#users.find(({ address }) => twin.account(address).exits.size > 0) ?? user;
      const [leaving = asset, due] = [...twin.account(leaver.address).exits][0] ?? [];
      const balance = twin.account(leaver.address).balances[leaving] ?? 0;
      const error =
        due === undefined ? 'NoExitRequested' : now < due ? 'ExitNotYet' : balance === 0 ? 'NothingToPay' : undefined;
      return call(leaver.address, 'exit', [twin.tokens[leaving], leaver.address], error, 'ExitExecuted');
    }
    if (choice < 68) return this.#sessionKeyCall(user);
    if (choice < 73) {
      const mine = this.#known.filter((order) => order.account === user.address);
      const digest = mine.length === 0 ? keccakText('any order') : this.#digest(this.#pick(mine));
      for (const order of mine) {
        if (this.#chance(50)) this.#known.push({ ...order, by: { kind: 'registered' } });
      }
      return owner('registerOrder', [user.address, digest, '0x'], paused, 'OrderRegistered');
    }
    if (choice < 78) {
      this.#boundaries.push(now + GRACE);
      const isTooSoon = model.feesSetAt !== 0 && now - model.parameters.deployedAt < model.feesSetAt + GRACE;
      return govern(
        'setFees',
        [this.#pick([50_000, 1_000, 800]), this.#pick([50_000, 600])],
        isTooSoon ? 'FeesChangedTooSoon' : undefined,
        'FeesChanged',
      );
    }
    if (choice < 83)
      return govern(
        'collectFees',
        [token],
        model.assets[asset]?.fees === 0 ? 'NothingToPay' : undefined,
        'FeesCollected',
      );
    if (choice < 88)
      return govern(
        'setOutflowLimit',
        [token, this.#pick([0, 0, 100_000, 5_000_000]), 600],
        undefined,
        'OutflowLimitChanged',
      );
    if (choice < 90) return govern('pause', [], undefined, 'Paused');
    if (choice < 95) {
      const from = this.#chance(50) ? lab.guardian.address : user.address;
      const isGuardian = from === lab.guardian.address;
      const error = isGuardian ? (twin.isPaused ? undefined : 'BadParameter') : 'Unauthorized';
      return call(from, 'unpause', [], error, 'Unpaused');
    }
    if (choice < 97) return this.#rotate();
    if (choice < 98) {
      const last = model.pausedUntil;
      return call(
        lab.guardian.address,
        'pause',
        [],
        last !== 0 && now < last + WEEK ? 'PauseTooSoon' : undefined,
        'Paused',
      );
    }
    const market = 2 + this.#below(3);
    // Two of the five markets stay, or there would be nothing left to settle.
    this.#boundaries.push(now + GRACE);
    if (!this.#chance(4)) return;
    return govern(
      'delistMarket',
      [market],
      model.markets[market]?.delistedAt === undefined ? undefined : 'UnknownMarket',
      'MarketDelisted',
    );
  }

  async #rotate(): Promise<void> {
    const { twin } = this;
    const next = createUser(`engine ${this.#engines + 1}`).address;
    await twin.call(twin.lab.deployer.address, 'registerEngineKey', [next], { events: ['EngineKeyRegistered'] });
    await twin.later(1);
    await twin.call(twin.lab.guardian.address, 'revokeEngineKey', [], { events: ['EngineKeyRevoked'] });
    this.#engines += 1;
  }

  async #sessionKeyCall(user: LabUser): Promise<void> {
    const { twin } = this;
    const { now, model, lab } = twin;
    const account = twin.account(user.address);
    const forged = this.#chance(12) ? this.#highSignature(user) : undefined;
    const key = forged?.signer ?? (this.#keys[this.#chance(70) ? 2 : this.#below(3)] as LabUser).address;
    const known = account.sessionKeys.get(key);
    const valid = known !== undefined && known.settleableUntil > now;
    if (this.#chance(30)) {
      this.#boundaries.push(now + GRACE);
      return twin.call(
        user.address,
        'revokeSessionKey',
        [key],
        valid ? { events: ['SessionKeyRevoked'] } : { error: 'UnknownSessionKey' },
      );
    }
    const expiry = this.#chance(10) ? now : now + 1 + this.#below(5_000);
    const isSigned = this.#chance(40);
    const marketMask = isSigned ? ALL_MARKETS : this.#pick([ALL_MARKETS, 1n, 2n, 31n]);
    const narrower = valid && marketMask < ALL_MARKETS && (known.marketMask & ~marketMask) !== 0n;
    const stillValid = valid && (narrower || expiry + GRACE < known.settleableUntil);
    const late = expiry <= now ? 'BadExpiry' : stillValid ? 'SessionKeyStillValid' : undefined;
    this.#boundaries.push(expiry + GRACE);
    if (!isSigned) {
      const error = twin.isPaused ? 'VaultPaused' : late;
      return twin.call(
        user.address,
        'authorizeSessionKey',
        [key, expiry, marketMask],
        error === undefined ? { events: ['SessionKeyRegistered'] } : { error },
      );
    }
    const nonce = account.sessionNonce + BigInt(this.#below(3));
    const digest = lab.digester.sessionKey({ account: user.address, key, expiry: BigInt(expiry), nonce });
    const good = this.#chance(80);
    const signature = good ? signCompact(user, digest) : highTwin(signCompact(user, digest));
    const stale = nonce <= account.sessionNonce ? 'StaleSessionNonce' : late;
    const error = twin.isPaused ? 'VaultPaused' : good ? stale : 'BadSignature';
    const foretold = error === undefined ? { events: ['SessionKeyRegistered'] } : { error };
    await twin.call(
      model.parameters.vault === user.address ? user.address : lab.submitter.address,
      'registerSessionKey',
      [user.address, key, expiry, nonce, signature],
      foretold,
    );
  }

  /** A high s that the compact form holds, over an order of the user; whoever it recovers to may be made a session key. */
  #highSignature(user: LabUser): { readonly signer: Address } | undefined {
    const orders = this.#known.filter(({ by, account }) => by.kind === 'owner' && account === user.address);
    if (orders.length === 0) return undefined;
    const order = this.#pick(orders);
    const digest = this.#digest(order);
    const point = secp256k1.publicKeyCreate(keccakText(`nonce ${this.#sequence}`), true).subarray(1);
    const signature = hexToBytes(`${bytesToHex(point)}${bigHex(HIGH_S).slice(2)}`);
    let publicKey: Uint8Array;
    try {
      publicKey = secp256k1.ecdsaRecover(signature, 0, hexToBytes(digest), false);
    } catch {
      return undefined;
    }
    const compact = bytesToHex(signature) as Hex;
    this.#known.push({ ...order, by: { kind: 'session', signature: compact } });
    return { signer: bytesToHex(keccakBytes(publicKey.subarray(1)), 12) as Address };
  }
}

/** The same signature with the other s, in the form of 65 bytes. */
function highTwin(compact: Hex): Hex {
  const vs = BigInt(`0x${compact.slice(66)}`);
  const parity = vs >> 255n;
  const s = CURVE_ORDER - (vs & ((1n << 255n) - 1n));
  return `${compact.slice(0, 66)}${bigHex(s).slice(2)}${parity === 1n ? '1b' : '1c'}` as Hex;
}
