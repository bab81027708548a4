/**
 * The vault's books, derived a second time from what happened on chain: deposits, exits, cancellations, session keys, governance. Batches are
 * judged in `judge-batch.ts` on the same state.
 *
 * The rules are those of the published interface and docs/batch-format.md. Amounts are quanta, times Unix seconds. What an event claims is
 * checked against what the model knows, then taken over, so that one wrong event gives one failure and not a thousand.
 */
import type { Address, Hash } from '../domain/units.ts';
import type { Findings } from './findings.ts';

export type ModelAsset = {
  readonly token: Address;
  readonly quantumUnits: bigint;
  readonly minimumDeposit: number;
  booked: number;
  fees: number;
  outflow: { limit: number; windowSeconds: number; startedAt: number; bookedAtStart: number };
};

export type ModelMarket = {
  readonly base: number;
  readonly quote: number;
  readonly lotQuanta: number;
  readonly tickQuanta: number;
  /** Undefined while listed. */
  delistedAt: number | undefined;
};

export type ModelLane = { sequence: number; filledLots: number; tag: string };

export type ModelAccount = {
  /** By asset index; absent means zero. */
  readonly balances: number[];
  readonly lanes: Map<number, ModelLane>;
  readonly withdrawalLanes: Map<number, number>;
  /** Asset index → time from which the exit can be executed. */
  readonly exits: Map<number, number>;
  readonly sessionKeys: Map<Address, { settleableUntil: number; marketMask: bigint }>;
  readonly registeredOrders: Set<Hash>;
  sessionNonce: bigint;
  /** Cancellation stamps in minutes since deployment; zero when empty. */
  firstStamp: number;
  secondStamp: number;
};

export type VaultParameters = {
  readonly chainId: number;
  readonly vault: Address;
  readonly deployedAt: number;
  readonly grace: number;
  readonly exitDelay: number;
  readonly wrappedNative: Address;
};

/** One event with its arguments as the ABI names them. */
export type AuditEvent = {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly blockTime: number;
  readonly transaction: Hash;
};

export const BOOKED_END = 2 ** 53;
export const FEE_CAP_PPM = 50_000;
export const ALL_MARKETS = 1n << 255n;
const NO_ADDRESS = '0x0000000000000000000000000000000000000000';

export class VaultModel {
  readonly parameters: VaultParameters;
  readonly assets: ModelAsset[] = [];
  readonly markets: ModelMarket[] = [];
  readonly accounts = new Map<Address, ModelAccount>();
  batchId = 0;
  batchHash: Hash = `0x${'0'.repeat(64)}`;
  epoch = 0;
  engineKey: string = NO_ADDRESS;
  readonly standbyKeys: string[] = [];
  /** Every key that was registered as an engine's, whether it is still one or not. */
  readonly engineKeys = new Set<Address>();
  takerFeePpm = 0;
  makerFeePpm = 0;
  earlierTakerFeePpm = 0;
  earlierMakerFeePpm = 0;
  feesSetAt = 0;
  pausedUntil = 0;
  readonly #findings: Findings;

  constructor(parameters: VaultParameters, findings: Findings) {
    this.parameters = parameters;
    this.#findings = findings;
  }

  account(address: Address): ModelAccount {
    const known = this.accounts.get(address);
    if (known !== undefined) return known;
    const fresh: ModelAccount = {
      balances: [],
      lanes: new Map(),
      withdrawalLanes: new Map(),
      exits: new Map(),
      sessionKeys: new Map(),
      registeredOrders: new Set(),
      sessionNonce: 0n,
      firstStamp: 0,
      secondStamp: 0,
    };
    this.accounts.set(address, fresh);
    return fresh;
  }

  /** Undefined when it was never listed, or lists an asset that was not. */
  market(index: number): ModelMarket | undefined {
    const market = this.markets[index];
    const isWhole = market !== undefined && market.base < this.assets.length && market.quote < this.assets.length;
    return isWhole ? market : undefined;
  }

  /** Order sequences of the account below this are refused by settlement at `now`. */
  cutoff(account: ModelAccount, now: number): number {
    if (account.secondStamp !== 0 && now >= this.#bindsAt(account.secondStamp)) return account.secondStamp * 60_000;
    if (account.firstStamp !== 0 && now >= this.#bindsAt(account.firstStamp)) return account.firstStamp * 60_000;
    return 0;
  }

  /** Order sequences of the account below this are cancelled, whether that binds settlement at `now` or not. Zero when it binds, or none are. */
  cancelling(account: ModelAccount, now: number): number {
    const latest = account.secondStamp * 60_000;
    return latest === this.cutoff(account, now) ? 0 : latest;
  }

  /** Highest fees that settlement accepts at `now`: a lower fee binds only after GRACE. */
  feesMax(now: number): { taker: number; maker: number } {
    const inGrace = now - this.parameters.deployedAt < this.feesSetAt + this.parameters.grace;
    return {
      taker: inGrace ? Math.max(this.takerFeePpm, this.earlierTakerFeePpm) : this.takerFeePpm,
      maker: inGrace ? Math.max(this.makerFeePpm, this.earlierMakerFeePpm) : this.makerFeePpm,
    };
  }

  /** Applies any event but BatchSettled. */
  apply(event: AuditEvent): void {
    const { args, blockTime: now } = event;
    const asset = Number(args['asset'] ?? 0);
    const quanta = Number(args['quanta'] ?? 0);
    const owner = lower(args['account']);
    switch (event.name) {
      case 'Deposited':
        this.#deposit(event, owner, asset, quanta);
        return;
      case 'ExitRequested': {
        const exits = this.account(owner).exits;
        this.#expect('exits', event, !exits.has(asset), () => `${owner} asked to exit from asset ${asset} twice`);
        const due = now + this.parameters.exitDelay;
        this.#expect(
          'exits',
          event,
          Number(args['availableAt']) === due,
          () => `the exit opens at ${args['availableAt']}, not at ${due}`,
        );
        exits.set(asset, Number(args['availableAt']));
        return;
      }
      case 'ExitCancelled':
        this.#expect(
          'exits',
          event,
          this.account(owner).exits.delete(asset),
          () => `${owner} cancelled an exit that was not requested`,
        );
        return;
      case 'ExitExecuted':
        this.#exit(event, owner, asset, quanta);
        return;
      case 'OrdersCancelled':
        this.#cancelOrders(event, this.account(owner));
        return;
      case 'OrderRegistered':
        this.account(owner).registeredOrders.add(lower(args['digest']));
        return;
      case 'SessionKeyRegistered':
      case 'SessionKeyRevoked':
        this.#sessionKey(event, this.account(owner));
        return;
      case 'FeesCollected': {
        const state = this.assets[asset];
        this.#expect(
          'governance',
          event,
          state?.fees === quanta,
          () => `fees of ${quanta} were collected of asset ${asset}, which had ${state?.fees}`,
        );
        if (state === undefined) return;
        state.booked -= quanta;
        state.fees -= quanta;
        return;
      }
      default:
        this.#govern(event);
        return;
    }
  }

  #deposit(event: AuditEvent, owner: Address, asset: number, quanta: number): void {
    const state = this.assets[asset];
    const isGood =
      state !== undefined &&
      quanta >= state.minimumDeposit &&
      state.booked + quanta < BOOKED_END &&
      owner !== NO_ADDRESS;
    this.#expect(
      'deposits',
      event,
      isGood,
      () => `a deposit of ${quanta} quanta of asset ${asset} for ${owner} breaks the bounds`,
    );
    if (state !== undefined) state.booked += quanta;
    const { balances } = this.account(owner);
    balances[asset] = (balances[asset] ?? 0) + quanta;
  }

  #exit(event: AuditEvent, owner: Address, asset: number, quanta: number): void {
    const account = this.account(owner);
    const due = account.exits.get(asset);
    const isDue = due !== undefined && event.blockTime >= due;
    this.#expect(
      'exits',
      event,
      isDue,
      () => `${owner} exited from asset ${asset} at ${event.blockTime}, due at ${due ?? 'no time'}`,
    );
    const balance = account.balances[asset] ?? 0;
    this.#expect(
      'exits',
      event,
      balance === quanta,
      () => `${owner} was paid ${quanta} of asset ${asset}, having ${balance}`,
    );
    account.exits.delete(asset);
    account.balances[asset] = balance - quanta;
    const state = this.assets[asset];
    if (state !== undefined) state.booked -= quanta;
  }

  #cancelOrders(event: AuditEvent, account: ModelAccount): void {
    const stamp = Math.floor((event.blockTime - this.parameters.deployedAt) / 60) + 1;
    const isRight =
      Number(event.args['beforeSequence']) === stamp * 60_000 &&
      Number(event.args['bindingAt']) === this.#bindsAt(stamp);
    this.#expect(
      'governance',
      event,
      isRight,
      () => `a cancellation carries the stamp ${event.args['beforeSequence']} instead of ${stamp * 60_000}`,
    );
    account.firstStamp = account.secondStamp;
    account.secondStamp = stamp;
  }

  #sessionKey(event: AuditEvent, account: ModelAccount): void {
    const key = lower(event.args['key']);
    const known = account.sessionKeys.get(key);
    if (event.name === 'SessionKeyRevoked') {
      const until = Math.min(known?.settleableUntil ?? 0, event.blockTime + this.parameters.grace);
      const isRight = known !== undefined && Number(event.args['settleableUntil']) === until;
      this.#expect(
        'governance',
        event,
        isRight,
        () => `a session key was revoked until ${event.args['settleableUntil']} instead of ${until}`,
      );
      if (known !== undefined) known.settleableUntil = until;
      return;
    }
    const nonce = event.args['nonce'] as bigint;
    this.#expect(
      'governance',
      event,
      nonce > account.sessionNonce,
      () => `the session nonce ${nonce} follows ${account.sessionNonce}`,
    );
    account.sessionNonce = nonce;
    const settleableUntil = Number(event.args['expiry']) + this.parameters.grace;
    account.sessionKeys.set(key, { settleableUntil, marketMask: event.args['marketMask'] as bigint });
  }

  #govern(event: AuditEvent): void {
    const { args, blockTime: now } = event;
    switch (event.name) {
      case 'AssetListed': {
        const isNext = Number(args['asset']) === this.assets.length;
        this.#expect(
          'governance',
          event,
          isNext,
          () => `asset ${args['asset']} was listed as number ${this.assets.length}`,
        );
        const outflow = { limit: 0, windowSeconds: 0, startedAt: 0, bookedAtStart: 0 };
        const [token, quantumUnits] = [lower(args['token']), args['quantum'] as bigint];
        this.assets.push({
          token,
          quantumUnits,
          minimumDeposit: Number(args['minimumDeposit']),
          booked: 0,
          fees: 0,
          outflow,
        });
        return;
      }
      case 'MarketListed': {
        const isNext = Number(args['market']) === this.markets.length;
        this.#expect(
          'governance',
          event,
          isNext,
          () => `market ${args['market']} was listed as number ${this.markets.length}`,
        );
        const [base, quote] = [Number(args['baseAsset']), Number(args['quoteAsset'])];
        const [lotQuanta, tickQuanta] = [Number(args['lotQuanta']), Number(args['tickQuanta'])];
        this.#expect(
          'governance',
          event,
          base < this.assets.length && quote < this.assets.length,
          () => `market ${args['market']} lists assets ${base} and ${quote}, not both listed before`,
        );
        this.markets.push({ base, quote, lotQuanta, tickQuanta, delistedAt: undefined });
        return;
      }
      case 'MarketDelisted': {
        const market = this.markets[Number(args['market'])];
        this.#expect(
          'governance',
          event,
          market !== undefined && market.delistedAt === undefined,
          () => 'a market was delisted that was not listed',
        );
        if (market !== undefined) market.delistedAt = Math.max(now, this.parameters.deployedAt + 1);
        return;
      }
      case 'FeesChanged': {
        const [taker, maker] = [Number(args['takerFeePpm']), Number(args['makerFeePpm'])];
        this.#expect(
          'governance',
          event,
          taker <= FEE_CAP_PPM && maker <= FEE_CAP_PPM,
          () => `fees of ${taker} and ${maker} ppm break the cap`,
        );
        [this.earlierTakerFeePpm, this.earlierMakerFeePpm] = [this.takerFeePpm, this.makerFeePpm];
        [this.takerFeePpm, this.makerFeePpm] = [taker, maker];
        this.feesSetAt = now - this.parameters.deployedAt;
        return;
      }
      case 'OutflowLimitChanged': {
        const state = this.assets[Number(args['asset'])];
        if (state === undefined) return;
        const windowSeconds = Number(args['windowSeconds']);
        state.outflow = {
          limit: Number(args['limitQuanta']),
          windowSeconds,
          startedAt: now,
          bookedAtStart: state.booked,
        };
        return;
      }
      case 'EngineKeyRegistered':
        this.engineKeys.add(lower(args['key']));
        this.#expect(
          'governance',
          event,
          args['active'] === (this.engineKey === NO_ADDRESS),
          () => `the engine key ${args['key']} was registered as ${args['active'] === true ? 'active' : 'standby'}`,
        );
        if (this.engineKey === NO_ADDRESS) this.engineKey = lower(args['key']);
        else this.standbyKeys.push(lower(args['key']));
        return;
      case 'EngineKeyRevoked': {
        const successor = this.standbyKeys.shift() ?? NO_ADDRESS;
        this.#expect(
          'governance',
          event,
          successor === lower(args['successor']),
          () => `${args['successor']} became engine key instead of ${successor}`,
        );
        this.engineKey = lower(args['successor']);
        this.epoch += 1;
        return;
      }
      case 'Paused':
        this.pausedUntil = Number(args['until']);
        return;
      case 'Unpaused':
        this.pausedUntil = now;
        return;
      default:
    }
  }

  #bindsAt(stamp: number): number {
    return this.parameters.deployedAt + (stamp - 1) * 60 + this.parameters.grace;
  }

  #expect(check: Parameters<Findings['check']>[0], event: AuditEvent, holds: boolean, reason: () => string): void {
    this.#findings.check(check, holds, { transaction: event.transaction }, reason);
  }
}

export const lower = (value: unknown): Address => String(value ?? NO_ADDRESS).toLowerCase() as Address;
