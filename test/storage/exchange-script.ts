/** A seeded, made-up history of an exchange in journal rows, applied to an engine of its own as it is made. */
import type pg from 'pg';
import type { SealedBatch } from '../../src/domain/batches.ts';
import { encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { ChainFact, Command, SequencedCommand } from '../../src/domain/commands.ts';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { NewOrder, NewWithdrawal } from '../../src/domain/orders.ts';
import {
  type Address,
  type ChainEventSequence,
  type Hash,
  type Hex,
  type JournalSequence,
  lots,
  type Ppm,
  priceTicks,
  quanta,
  type TimestampMs,
  type TimestampSeconds,
} from '../../src/domain/units.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { buildRow, NO_PREVIOUS_HASH, toBytes } from '../../src/offchain-engine/sequencer/journal-row.ts';
import type { EngineForm } from '../../src/offchain-engine/sequencer/ports.ts';
import {
  decodeSnapshot,
  encodeInSteps,
  encodeSnapshot,
  makeReady,
  stateHash,
} from '../../src/offchain-engine/snapshot.ts';
import type { LiveRow } from '../../src/storage/projections/live-rows.ts';

export const ENGINE_FORM: EngineForm<Engine> = {
  create: () => new Engine(),
  restore: decodeSnapshot,
  encode: encodeSnapshot,
  makeReady,
  encodeInSteps,
  stateHash,
};

export const DEPLOYED_AT_MS = 1_700_000_000_000 as TimestampMs;
const VAULT = `0x${'fe'.repeat(20)}` as Address;
const TOKENS: readonly Address[] = [`0x${'e1'.repeat(20)}`, `0x${'e2'.repeat(20)}`];
export const WETH = 0;
export const USDC = 1;

export function account(number: number): Address {
  return `0x${(0xa000 + number).toString(16).padStart(40, '0')}`;
}

/** Numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class ExchangeScript {
  readonly engine = new Engine();
  readonly applied: AppliedCommand[] = [];
  readonly pool: pg.Pool;
  nowMs = DEPLOYED_AT_MS + 60_000;
  /** Told of every row once it is in the journal, as a leading engine tells the projector of its process. */
  onRow: (row: LiveRow) => void = () => undefined;
  private readonly random: () => number;
  private previousHash: Hex = NO_PREVIOUS_HASH;
  private events = 0;
  private digests = 0;
  private readonly sealed: SealedBatch[] = [];

  constructor(pool: pg.Pool, seed: number) {
    this.pool = pool;
    this.random = seeded(seed);
  }

  /** Journals the commands as one row and returns what the engine made of them. */
  async row(commands: readonly Command[]): Promise<AppliedCommand[]> {
    const sequenced = commands.map(
      (command, index): SequencedCommand => ({
        sequence: (this.engine.lastSequence + 1 + index) as JournalSequence,
        timestampMs: (this.nowMs + index) as TimestampMs,
        command,
      }),
    );
    this.nowMs += commands.length;
    const applied = sequenced.map((one) => this.engine.apply(one));
    for (const { events } of applied) {
      for (const event of events) if (event.kind === 'batchSealed') this.sealed.push(event.batch);
    }
    const { row } = buildRow(this.previousHash, 1, sequenced[0]?.sequence ?? 0, sequenced.map(encodeSequencedCommand));
    await this.pool.query(
      `INSERT INTO journal (first_sequence, last_sequence, epoch, rules_version, body, previous_hash, merkle_root, hash)
       VALUES ($1, $2, 1, $3, $4, $5, $6, $7)`,
      [
        row.firstSequence,
        row.lastSequence,
        row.rulesVersion,
        Buffer.from(row.body),
        toBytes(row.previousHash),
        toBytes(row.merkleRoot),
        toBytes(row.hash),
      ],
    );
    this.previousHash = row.hash;
    this.applied.push(...applied);
    this.onRow({ commands: sequenced, applied });
    return applied;
  }

  async snapshot(): Promise<void> {
    const { engine } = this;
    await this.pool.query(
      'INSERT INTO snapshots (sequence, rules_version, state_hash, journal_hash, body) VALUES ($1, 1, $2, $3, $4)',
      [
        engine.lastSequence,
        toBytes(stateHash(engine)),
        toBytes(this.previousHash),
        Buffer.from(encodeSnapshot(engine)),
      ],
    );
  }

  fact(fact: ChainFact): Command {
    return { ...fact, eventSequence: ++this.events as ChainEventSequence };
  }

  /** Genesis, two assets, one market, and accounts with money. */
  async open(accounts: number): Promise<void> {
    await this.row([
      {
        kind: 'genesis',
        chainId: 31337,
        vault: VAULT,
        deployedAtMs: DEPLOYED_AT_MS,
        limits: {
          openOrdersPerAccountMax: 50,
          batchesInFlightMax: 8,
          unsettledAgeMaxMs: 3_600_000,
          orderAgeMaxMs: 600_000,
        },
        defaultParameters: {
          makerFeePpm: 100 as Ppm,
          takerFeePpm: 300 as Ppm,
          minNotional: quanta(1),
          priceBandPpm: 0,
        },
        withdrawalFees: [{ asset: USDC, fee: quanta(10) }],
      },
      { kind: 'epochStarted', epoch: 1 },
      this.fact({ kind: 'assetListed', asset: this.asset(WETH, 'WETH', 18, 10n ** 9n) }),
      this.fact({ kind: 'assetListed', asset: this.asset(USDC, 'USDC', 6, 1n) }),
      this.fact({
        kind: 'marketListed',
        market: {
          index: 0,
          symbol: 'WETH-USDC',
          baseAsset: WETH,
          quoteAsset: USDC,
          lotQuanta: quanta(100_000),
          tickQuanta: quanta(1),
          maxSizeLots: lots(10_000_000),
          maxPriceTicks: priceTicks(1_000_000),
        },
      }),
    ]);
    const deposits: Command[] = [];
    for (let i = 0; i < accounts; i++) {
      deposits.push(this.fact({ kind: 'depositCredited', account: account(i), asset: WETH, amount: quanta(10 ** 12) }));
      deposits.push(this.fact({ kind: 'depositCredited', account: account(i), asset: USDC, amount: quanta(10 ** 10) }));
    }
    await this.row(deposits);
  }

  order(number: number, terms: Partial<NewOrder> = {}): NewOrder {
    const owner = account(number);
    return {
      account: owner,
      market: 0,
      side: 'buy',
      sizeLots: lots(10),
      priceTicks: priceTicks(1_000),
      timeInForce: 'gtc',
      postOnly: false,
      lane: 0,
      orderSequence: this.nowMs - DEPLOYED_AT_MS,
      expiry: (Math.floor(this.nowMs / 1000) + 3_600) as TimestampSeconds,
      maxFeePpm: 1_000 as Ppm,
      signer: owner,
      digest: this.digest(),
      signature: `0x${'11'.repeat(64)}`,
      clientOrderId: '',
      selfTradePrevention: 'cancel_newest',
      stop: undefined,
      ...terms,
    };
  }

  withdrawal(number: number, terms: Partial<NewWithdrawal> = {}): NewWithdrawal {
    return {
      account: account(number),
      asset: USDC,
      amount: quanta(1_000),
      recipient: account(number),
      native: false,
      lane: 0,
      withdrawalSequence: this.nowMs - DEPLOYED_AT_MS,
      expiry: (Math.floor(this.nowMs / 1000) + 3_600) as TimestampSeconds,
      maxFee: quanta(100),
      digest: this.digest(),
      signature: `0x${'11'.repeat(64)}`,
      ...terms,
    };
  }

  seal(): Command {
    return { kind: 'sealBatch', tradesMax: 50, withdrawalsMax: 10 };
  }

  /** The oldest batch in flight as the vault settled it; `skipEvery` trades one is skipped. Undefined when none is in flight. */
  settle(skipEvery: number): Command | undefined {
    const batch = this.sealed.shift();
    if (batch === undefined) return undefined;
    const skips = batch.trades.flatMap((_, trade) =>
      trade % skipEvery === skipEvery - 1 ? [{ trade, reason: 2 }] : [],
    );
    const withdrawals = batch.withdrawals.map((_, index) =>
      index % 3 === 2
        ? ({ index, state: 'failed', reason: 'transfer_failed' } as const)
        : ({ index, state: 'executed', reason: '' } as const),
    );
    const contentHash: Hash = `0x${batch.batchId.toString(16).padStart(64, '0')}`;
    return this.fact({ kind: 'batchSettled', batchId: batch.batchId, contentHash, skips, withdrawals });
  }

  /** A row of random commands of `accounts` accounts. */
  async randomRow(accounts: number): Promise<void> {
    const commands: Command[] = [];
    const count = 1 + Math.floor(this.random() * 40);
    for (let i = 0; i < count; i++) commands.push(this.randomCommand(accounts));
    if (this.random() < 0.3) {
      const settled = this.settle(7);
      if (settled !== undefined) commands.push(settled);
    }
    if (this.random() < 0.4) commands.push(this.seal());
    await this.row(commands);
    this.nowMs += Math.floor(this.random() * 500);
  }

  private randomCommand(accounts: number): Command {
    const number = Math.floor(this.random() * accounts);
    const dice = this.random();
    const lane = Math.floor(this.random() * 6);
    if (dice < 0.7) return { kind: 'placeOrder', order: this.randomOrder(number, lane) };
    const live = this.engine.liveOrders(account(number))[0];
    if (dice < 0.78 && live !== undefined) return { kind: 'cancelOrder', order: live };
    if (dice < 0.86 && live !== undefined) {
      return { kind: 'replaceOrder', replaced: live, order: this.randomOrder(number, live.lane) };
    }
    if (dice < 0.9) return { kind: 'cancelAllOrders', account: account(number), market: undefined };
    if (dice < 0.95) return { kind: 'requestWithdrawal', withdrawal: this.withdrawal(number, { lane }) };
    const asset = this.random() < 0.5 ? WETH : USDC;
    return this.fact({ kind: 'depositCredited', account: account(number), asset, amount: quanta(5_000) });
  }

  private randomOrder(number: number, lane: number): NewOrder {
    const tif = this.random();
    const unfunded = this.random() < 0.05;
    return this.order(number, {
      lane,
      side: this.random() < 0.5 ? 'buy' : 'sell',
      sizeLots: lots(unfunded ? 10_000_000 : 1 + Math.floor(this.random() * 200)),
      priceTicks: priceTicks(990 + Math.floor(this.random() * 20)),
      timeInForce: tif < 0.75 ? 'gtc' : tif < 0.9 ? 'ioc' : 'fok',
      clientOrderId: this.random() < 0.5 ? `client-${this.digests}` : '',
      orderSequence: this.nowMs - DEPLOYED_AT_MS + Math.floor(this.random() * 1_000),
    });
  }

  private asset(index: number, symbol: string, decimals: number, quantumUnits: bigint) {
    return { index, token: TOKENS[index] ?? VAULT, symbol, decimals, quantumUnits, minDeposit: quanta(1) };
  }

  private digest(): Hash {
    return `0x${(++this.digests).toString(16).padStart(64, '0')}`;
  }
}
