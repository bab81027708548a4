/**
 * The ledger as plainly as possible: every figure of every account worked out anew from what was said to have happened, and compared with
 * the engine's after each command. It knows orders, trades and withdrawals by name and checks each against what its owner signed.
 */
import { strict as assert } from 'node:assert';
import type { SealedBatch } from '../../src/domain/batches.ts';
import type { ChainCommand, SequencedCommand } from '../../src/domain/commands.ts';
import type { EngineEvent } from '../../src/domain/events.ts';
import type { NewOrder, NewWithdrawal } from '../../src/domain/orders.ts';
import type { Address, Hash } from '../../src/domain/units.ts';
import type { Engine } from '../../src/offchain-engine/engine.ts';
import { ACCOUNTS, ASSETS, FEE_ADDRESS, LOT_QUANTA, MARKETS, TICK_QUANTA } from './listings.ts';
import { ModelFees } from './model-fees.ts';
import { type ModelVault, plainFee } from './model-vault.ts';

type Trade = Extract<EngineEvent, { kind: 'trade' }>;
type ModelOrder = { readonly order: NewOrder; remaining: number; filled: number; live: boolean };
type ModelTrade = { readonly trade: Trade; readonly at: Postings; state: 'unsealed' | 'sealed' | 'settled' | 'voided' };
type Postings = readonly { readonly account: Address; readonly asset: number; readonly amount: number }[];
type ModelWithdrawal = { readonly terms: NewWithdrawal; readonly fee: number; open: boolean };
type Figures = { settled: number; unsettledIn: number; unsettledOut: number };

const FIGURES = ['available', 'locked', 'pendingWithdrawal', 'unsettledIn', 'unsettledOut', 'settled'] as const;
const OWNERS = [...ACCOUNTS, FEE_ADDRESS];

export class ModelLedger {
  readonly #vault: ModelVault;
  readonly #fees = new ModelFees();
  readonly #figures = new Map<string, Figures>();
  /** The vault's books as of the last event the engine was fed. */
  readonly #fedBooks = new Map<string, number>();
  readonly #orders = new Map<Hash, ModelOrder>();
  readonly #live = new Map<Hash, ModelOrder>();
  readonly #trades = new Map<number, ModelTrade>();
  readonly #withdrawals = new Map<Hash, ModelWithdrawal>();
  readonly #batches: SealedBatch[] = [];
  readonly #deficits = new Set<string>();
  /** Proceeds that the engine says it keeps locked, in doubt of their trades. */
  readonly #frozen = new Map<string, number>();
  #finalBatches = 0;
  #lastFact = 0;
  #epoch = 0;
  readonly seen = new Map<string, number>();

  constructor(vault: ModelVault) {
    this.#vault = vault;
  }

  get trades(): number {
    return this.#trades.size;
  }

  /** Takes one applied command in, and holds the engine that applied it against this ledger. */
  take({ command, sequence, timestampMs }: SequencedCommand, events: readonly EngineEvent[], engine: Engine): void {
    if (command.kind === 'placeOrder' || command.kind === 'replaceOrder') this.#takeOrder(command.order, events);
    if (command.kind === 'epochStarted') {
      assert.ok(command.epoch > this.#epoch, 'epochs only rise');
      this.#epoch = command.epoch;
    }
    const applied = events.some(({ kind }) => kind === 'chainApplied');
    this.#fees.take({ command, sequence, timestampMs }, applied);
    if ('eventSequence' in command) this.#takeFact(command, events, timestampMs);
    for (const event of events) this.#takeEvent(event, sequence, timestampMs);
    this.#compare(engine);
  }

  #takeOrder(order: NewOrder, events: readonly EngineEvent[]): void {
    const answers = events.filter(
      (event) =>
        (event.kind === 'orderAccepted' && event.order.digest === order.digest) ||
        (event.kind === 'orderRejected' && event.digest === order.digest),
    );
    assert.equal(answers.length, 1, `order ${order.digest} was answered ${answers.length} times`);
    if (answers[0]?.kind !== 'orderAccepted') return;
    assert.ok(!this.#orders.has(order.digest), `order ${order.digest} was accepted twice`);
    const accepted = { order, remaining: order.sizeLots, filled: 0, live: true };
    this.#orders.set(order.digest, accepted);
    this.#live.set(order.digest, accepted);
  }

  /** A fact counts once, and in its order; any other changes nothing. */
  #takeFact(command: ChainCommand, events: readonly EngineEvent[], timestampMs: number): void {
    const applied = events.some((event) => event.kind === 'chainApplied');
    assert.equal(applied, command.eventSequence === this.#lastFact + 1, `vault event ${command.eventSequence}`);
    if (!applied) return;
    this.#lastFact = command.eventSequence;
    for (const { account, asset, amount } of this.#vault.events[command.eventSequence - 1]?.deltas ?? []) {
      const key = `${account}:${asset}`;
      this.#fedBooks.set(key, (this.#fedBooks.get(key) ?? 0) + amount);
    }
    if (command.kind === 'depositCredited') this.#of(command.account, command.asset).settled += command.amount;
    if (command.kind === 'exitExecuted') this.#of(command.account, command.asset).settled -= command.amount;
    if (command.kind === 'feesCollected') this.#of(FEE_ADDRESS, command.asset).settled -= command.amount;
    if (command.kind === 'batchSettled') this.#takeSettlement(command, timestampMs);
  }

  #takeSettlement(command: Extract<ChainCommand, { kind: 'batchSettled' }>, timestampMs: number): void {
    assert.equal(command.batchId, ++this.#finalBatches, 'batches become final one by one');
    const batch = this.#batches[command.batchId - 1];
    assert.ok(batch !== undefined, `batch ${command.batchId} was never sealed`);
    const skipped = new Set(command.skips.map(({ trade }) => trade));
    for (const [index, { tradeId }] of batch.trades.entries())
      this.#end(tradeId, 'sealed', skipped.has(index) ? 'voided' : 'settled', timestampMs);
  }

  #takeEvent(event: EngineEvent, sequence: number, timestampMs: number): void {
    const name = 'reason' in event && event.reason !== undefined ? `${event.kind} ${event.reason}` : event.kind;
    this.seen.set(name, (this.seen.get(name) ?? 0) + 1);
    switch (event.kind) {
      case 'trade':
        this.#trade(event, timestampMs);
        return;
      case 'orderReduced':
        this.#order(event.digest).remaining = event.remaining;
        return;
      case 'orderDone': {
        const order = this.#order(event.digest);
        assert.ok(order.live, `order ${event.digest} ended twice`);
        assert.equal(event.filled, order.filled);
        if (event.status === 'filled') assert.equal(order.remaining, 0);
        if (event.status === 'expired') assert.ok(order.order.expiry * 1_000 <= timestampMs, 'expired before its time');
        order.live = false;
        this.#live.delete(event.digest);
        return;
      }
      case 'tradeVoided':
        this.#end(event.tradeId, 'unsealed', 'voided', timestampMs);
        return;
      case 'batchSealed':
        this.#sealed(event.batch, sequence);
        return;
      case 'withdrawalAccepted':
        assert.ok(!this.#withdrawals.has(event.withdrawal.digest), 'a withdrawal was accepted twice');
        assert.ok(event.fee <= event.withdrawal.maxFee);
        this.#withdrawals.set(event.withdrawal.digest, { terms: event.withdrawal, fee: event.fee, open: true });
        return;
      case 'withdrawalDone':
        this.#withdrawalDone(event.digest, event.status);
        return;
      case 'proceedsFrozen':
        this.#frozen.set(`${event.account}:${event.asset}`, event.amount);
        return;
      case 'accountInDeficit':
        this.#deficits.add(`${event.account}:${event.asset}`);
        return;
      default:
        return;
    }
  }

  #trade(trade: Trade, timestampMs: number): void {
    assert.ok(!this.#trades.has(trade.tradeId), `trade ${trade.tradeId} happened twice`);
    assert.notEqual(trade.taker.account, trade.maker.account);
    const taker = this.#order(trade.taker.digest);
    const maker = this.#order(trade.maker.digest);
    assert.notEqual(taker.order.side, maker.order.side);
    assert.equal(trade.price, maker.order.priceTicks, 'a trade is made at the maker’s price');
    const [buy, sell] = taker.order.side === 'buy' ? [taker, maker] : [maker, taker];
    assert.ok(sell.order.priceTicks <= trade.price && trade.price <= buy.order.priceTicks, 'a trade beyond a limit');
    for (const { order } of [taker, maker])
      assert.ok(order.expiry * 1_000 > timestampMs, `order ${order.digest} was matched after its expiry`);
    for (const [side, order, charged] of [
      ['takerFeePpm', taker.order, trade.taker.feePpm],
      ['makerFeePpm', maker.order, trade.maker.feePpm],
    ] as const) {
      const fees = this.#fees.of(order.account, trade.market, timestampMs);
      assert.equal(charged, Math.min(fees[side], order.maxFeePpm), `${side} of trade ${trade.tradeId}`);
    }
    const notional = trade.size * trade.price * TICK_QUANTA;
    for (const [side, of] of [
      [trade.taker, taker],
      [trade.maker, maker],
    ] as const) {
      assert.equal(of.order.market, trade.market);
      assert.ok(of.live, `order ${side.digest} traded after its end`);
      assert.ok(of.order.expiry * 1_000 > timestampMs, `order ${side.digest} traded after its expiry`);
      assert.ok(side.feePpm <= of.order.maxFeePpm, 'a fee above the signed maximum');
      assert.equal(side.fee, plainFee(notional, side.feePpm));
      of.remaining -= trade.size;
      of.filled += trade.size;
      assert.ok(of.remaining >= 0, `order ${side.digest} was overfilled`);
    }
    const { base, quote } = MARKETS[trade.market] as (typeof MARKETS)[number];
    const feeOf = (of: ModelOrder): number => (of === taker ? trade.taker.fee : trade.maker.fee);
    const at: Postings = [
      { account: buy.order.account, asset: base, amount: trade.size * LOT_QUANTA },
      { account: buy.order.account, asset: quote, amount: -notional - feeOf(buy) },
      { account: sell.order.account, asset: base, amount: -trade.size * LOT_QUANTA },
      { account: sell.order.account, asset: quote, amount: notional - feeOf(sell) },
      { account: FEE_ADDRESS, asset: quote, amount: feeOf(buy) + feeOf(sell) },
    ];
    for (const asset of ASSETS) {
      const sum = at.reduce((total, posting) => total + (posting.asset === asset ? posting.amount : 0), 0);
      assert.equal(sum, 0, `the postings of trade ${trade.tradeId} do not sum to zero`);
    }
    this.#post(at, 1);
    this.#trades.set(trade.tradeId, { trade, at, state: 'unsealed' });
  }

  #post(postings: Postings, sign: 1 | -1): void {
    for (const { account, asset, amount } of postings) {
      if (amount > 0) this.#of(account, asset).unsettledIn += sign * amount;
      else this.#of(account, asset).unsettledOut -= sign * amount;
    }
  }

  #end(tradeId: number, from: ModelTrade['state'], to: 'settled' | 'voided', timestampMs: number): void {
    const known = this.#trades.get(tradeId);
    assert.equal(known?.state, from, `trade ${tradeId} became ${to}`);
    if (known === undefined) return;
    known.state = to;
    this.#post(known.at, -1);
    if (to === 'voided') return;
    for (const { account, asset, amount } of known.at) this.#of(account, asset).settled += amount;
    const { taker, maker, market, size, price } = known.trade;
    for (const { account } of [taker, maker])
      this.#fees.settled(account, market, size * price * TICK_QUANTA, timestampMs);
  }

  #sealed(batch: SealedBatch, sequence: number): void {
    assert.equal(batch.batchId, this.#batches.length + 1, 'batch ids are gapless');
    assert.equal(batch.epoch, this.#epoch);
    assert.equal(batch.journalSequence, sequence);
    this.#batches.push(batch);
    for (const sealed of batch.trades) {
      const known = this.#trades.get(sealed.tradeId);
      assert.equal(known?.state, 'unsealed', `trade ${sealed.tradeId} was sealed`);
      if (known === undefined) return;
      known.state = 'sealed';
      const { trade } = known;
      assert.deepEqual(
        [
          sealed.sizeLots,
          sealed.takerFeePpm,
          sealed.makerFeePpm,
          batch.orders[sealed.takerOrder]?.digest,
          batch.orders[sealed.makerOrder]?.digest,
        ],
        [trade.size, trade.taker.feePpm, trade.maker.feePpm, trade.taker.digest, trade.maker.digest],
      );
    }
  }

  #withdrawalDone(digest: Hash, status: 'executed' | 'failed'): void {
    const withdrawal = this.#withdrawals.get(digest);
    assert.ok(withdrawal?.open === true, `withdrawal ${digest} ended without being open`);
    withdrawal.open = false;
    if (status === 'failed') return;
    const { account, asset, amount } = withdrawal.terms;
    this.#of(account, asset).settled -= amount;
    this.#of(FEE_ADDRESS, asset).settled += withdrawal.fee;
  }

  /** Every figure, the vault's books, the live orders. */
  #compare(engine: Engine): void {
    for (const account of OWNERS) {
      const live = engine.liveOrders(account);
      const own = [...this.#live.values()].filter(({ order }) => order.account === account);
      assert.equal(live.length, own.length, `live orders of ${account}`);
      for (const { digest, remaining } of live) assert.equal(this.#live.get(digest)?.remaining, remaining, digest);
      for (const asset of ASSETS) {
        const key = `${account}:${asset}`;
        const { settled, unsettledIn, unsettledOut } = this.#of(account, asset);
        const frozen = this.#frozen.get(key) ?? 0;
        const locked = own.reduce((sum, order) => sum + lockOf(order, asset), frozen);
        assert.ok(frozen >= 0 && frozen <= unsettledIn, `${key}: ${frozen} frozen of ${unsettledIn} that is to come`);
        const pendingWithdrawal = this.#pending(account, asset);
        const available = settled + unsettledIn - unsettledOut - locked - pendingWithdrawal;
        const expected = { available, locked, pendingWithdrawal, unsettledIn, unsettledOut, settled };
        const actual = engine.balance(account, asset);
        for (const figure of FIGURES)
          assert.equal(actual[figure], expected[figure], `${figure} of ${account} in asset ${asset}`);
        assert.equal(settled, this.#fedBooks.get(key) ?? 0, `${key}: ledger and vault`);
        if (available >= 0) this.#deficits.delete(key);
        else assert.ok(this.#deficits.has(key) && own.length === 0, `${key} is below zero and trades on`);
      }
    }
  }

  #pending(account: Address, asset: number): number {
    let sum = 0;
    for (const { terms, open } of this.#withdrawals.values())
      if (open && terms.account === account && terms.asset === asset) sum += terms.amount;
    return sum;
  }

  #order(digest: Hash): ModelOrder {
    const order = this.#orders.get(digest);
    assert.ok(order !== undefined, `order ${digest} was never accepted`);
    return order;
  }

  #of(account: Address, asset: number): Figures {
    const key = `${account}:${asset}`;
    const figures = this.#figures.get(key) ?? { settled: 0, unsettledIn: 0, unsettledOut: 0 };
    this.#figures.set(key, figures);
    return figures;
  }
}

/** What a live order holds of an asset. */
function lockOf({ order, remaining }: ModelOrder, asset: number): number {
  const { base, quote } = MARKETS[order.market] as (typeof MARKETS)[number];
  if (order.side === 'sell') return asset === base ? remaining * LOT_QUANTA : 0;
  const notional = remaining * order.priceTicks * TICK_QUANTA;
  return asset === quote ? notional + plainFee(notional, order.maxFeePpm) : 0;
}
