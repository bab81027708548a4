import assert from 'node:assert/strict';
import type { WithdrawalOutcome } from '../../src/domain/batches.ts';
import type { EngineEvent } from '../../src/domain/events.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { EARLIER_CUTS_MAX, refuseReseal } from '../../src/offchain-engine/reseal.ts';
import { decodeSnapshot, encodeSnapshot, stateHash } from '../../src/offchain-engine/snapshot.ts';
import { ALICE, all, BASE, BOB, CAROL, contentOf, Exchange, only, QUOTE } from './support/exchange.ts';

const INSUFFICIENT = 7;

function funded(): Exchange {
  const exchange = new Exchange({ limits: { batchesInFlightMax: 100, openOrdersPerAccountMax: 1_000 } });
  for (const account of [ALICE, BOB, CAROL]) exchange.deposit(account, 10_000, 10_000_000);
  return exchange;
}

/** So many trades of one lot, each of takers of its own. */
function trade(exchange: Exchange, count: number): void {
  for (let index = 0; index < count; index++) {
    exchange.place({ account: BOB, side: 'sell', size: 1, price: 100 });
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 100, timeInForce: 'ioc' });
  }
}

function sweep(exchange: Exchange, makers: number, timeInForce: 'gtc' | 'ioc' | 'fok'): void {
  for (let index = 0; index < makers; index++) exchange.place({ account: BOB, side: 'sell', size: 1, price: 100 });
  exchange.place({ account: ALICE, side: 'buy', size: makers, price: 100, timeInForce });
}

/** Batches of so many trades each. */
function sealed(...sizes: number[]): Exchange {
  const exchange = funded();
  for (const size of sizes) {
    trade(exchange, size);
    exchange.seal();
  }
  return exchange;
}

/** `id:first–last trade+withdrawals` of every batch in flight. */
function inFlight(exchange: Exchange): string[] {
  return exchange.engine.batchesInFlight().map(({ batchId, trades, withdrawals }) => {
    const ids = trades.map(({ tradeId }) => tradeId);
    const range = ids.length === 0 ? '' : ids.length === 1 ? `${ids[0]}` : `${ids[0]}–${ids.at(-1)}`;
    return `${batchId}:${range}${withdrawals.length > 0 ? `+${withdrawals.length}` : ''}`;
  });
}

const paid = (count: number): WithdrawalOutcome[] =>
  Array.from({ length: count }, (_, index) => ({ index, state: 'executed', reason: 'executed' }));

/** The state as replay and as a snapshot give it is the state. */
function assertSameAfterRecovery(exchange: Exchange): void {
  const bytes = encodeSnapshot(exchange.engine);
  const restored = decodeSnapshot(bytes);
  assert.deepEqual(encodeSnapshot(restored), bytes);
  const replayed = new Engine();
  for (const command of exchange.journal) replayed.apply(command);
  assert.equal(stateHash(replayed), stateHash(exchange.engine));
  assert.deepEqual(restored.batchesInFlight(), exchange.engine.batchesInFlight());
}

describe('a batch that cannot land', () => {
  it('is cut into smaller ones, and those after it get new ids', () => {
    const exchange = sealed(2, 5, 2);
    const events = exchange.reseal(2, 2);
    assert.deepEqual(inFlight(exchange), ['1:1–2', '2:3–4', '3:5–6', '4:7', '5:8–9']);
    const recut = only(events, 'batchesRecut');
    assert.deepEqual(
      [recut?.cause, recut?.firstBatchId, recut?.lastBatchId, recut?.unsealedTrades],
      ['resealed', 2, 5, []],
    );
    assert.deepEqual(
      all(events, 'batchSealed').map(({ batch }) => batch),
      exchange.engine.batchesInFlight().slice(1),
    );
    const { lastSequence } = exchange.engine;
    for (const batch of exchange.engine.batchesInFlight().slice(1)) assert.equal(batch.journalSequence, lastSequence);
    trade(exchange, 1);
    assert.equal(exchange.seal()?.batch.batchId, 6);
    assertSameAfterRecovery(exchange);
  });

  it('settles part by part', () => {
    const exchange = sealed(5);
    exchange.reseal(1, 2);
    for (const id of [1, 2]) assert.equal(only(exchange.settle(id), 'batchFinal')?.settledTrades.length, 2);
    assert.deepEqual(only(exchange.settle(3), 'batchFinal')?.settledTrades, [5]);
    assert.deepEqual(exchange.engine.core.earlierCuts, []);
    assert.equal(exchange.balance(ALICE, BASE).settled, 1_000_500);
    assertSameAfterRecovery(exchange);
  });

  it('keeps what an immediate order traded together, and parts what a resting one did', () => {
    for (const [timeInForce, wanted] of [
      ['ioc', ['1:1', '2:2–6', '3:7']],
      ['fok', ['1:1', '2:2–6', '3:7']],
      ['gtc', ['1:1–3', '2:4–6', '3:7']],
    ] as const) {
      const exchange = funded();
      trade(exchange, 1);
      sweep(exchange, 5, timeInForce);
      trade(exchange, 1);
      exchange.seal();
      exchange.reseal(1, 3);
      assert.deepEqual(inFlight(exchange), wanted, timeInForce);
      assertSameAfterRecovery(exchange);
    }
  });

  it('parts withdrawals from trades, in the order they were asked for', () => {
    const exchange = funded();
    trade(exchange, 2);
    for (let index = 0; index < 3; index++) exchange.withdraw({ account: CAROL, amount: 10 + index });
    exchange.seal();
    trade(exchange, 1);
    exchange.withdraw({ account: CAROL, amount: 20 });
    exchange.seal();
    exchange.reseal(1, 2, 2);
    assert.deepEqual(inFlight(exchange), ['1:1–2', '2:+2', '3:+1', '4:3+1']);
    const amounts = exchange.engine.batchesInFlight().flatMap(({ withdrawals }) => withdrawals.map((w) => w.amount));
    assert.deepEqual(amounts, [10, 11, 12, 20]);
    assertSameAfterRecovery(exchange);
  });

  it('stays as it is when it cannot be cut so, is not in flight, or not all that it replaces is named', () => {
    const exchange = sealed(2, 2);
    const before = stateHash(exchange.engine);
    const named = exchange.engine.batchesInFlight().map(contentOf);
    const limits = { tradesMax: 1, withdrawalsMax: 1 };
    for (const [batchId, tradesMax, contentHashes, reason] of [
      [1, 2, named, /cannot be cut so/],
      [3, 1, [], /not in flight/],
      [0, 1, named, /not in flight/],
      [1, 0, named, /must be allowed/],
      [1, 1, named.slice(1), undefined],
      [2, 1, named, undefined],
    ] as const) {
      const refused = refuseReseal(exchange.engine.core, { ...limits, batchId, tradesMax });
      if (reason === undefined) assert.equal(refused, undefined);
      else assert.match(refused ?? '', reason);
      const command = { kind: 'resealBatch', batchId, withdrawalsMax: 1, reason: '' } as const;
      assert.deepEqual(exchange.apply({ ...command, tradesMax, contentHashes }), []);
    }
    assert.deepEqual(inFlight(exchange), ['1:1–2', '2:3–4']);
    // Only the journal's end has moved.
    exchange.engine.core.sequence = decodeSnapshot(encodeSnapshot(sealed(2, 2).engine)).core.sequence;
    assert.equal(stateHash(exchange.engine), before);
  });

  it('is cut a bounded number of times', () => {
    const exchange = sealed(40);
    for (let tradesMax = 39; tradesMax > 39 - EARLIER_CUTS_MAX; tradesMax--) {
      assert.ok(only(exchange.reseal(1, tradesMax), 'batchesRecut'));
    }
    assert.match(
      refuseReseal(exchange.engine.core, { batchId: 1, tradesMax: 1, withdrawalsMax: 1 }) ?? '',
      /cut anew 8 times/,
    );
    assert.deepEqual(exchange.reseal(1, 1), []);
    assertSameAfterRecovery(exchange);
    exchange.settle(1);
    trade(exchange, 2);
    const last = exchange.seal()?.batch.batchId ?? 0;
    assert.ok(only(exchange.reseal(last, 1), 'batchesRecut'), 'room again once one has landed');
  });
});

describe('a batch that lands after it was cut anew', () => {
  it('wins: what followed it stands again, and what was sealed since waits for a batch', () => {
    const exchange = sealed(4, 3);
    const [first, second] = exchange.engine.batchesInFlight();
    exchange.reseal(1, 2);
    trade(exchange, 2);
    exchange.seal();
    assert.deepEqual(inFlight(exchange), ['1:1–2', '2:3–4', '3:5–6', '4:7', '5:8–9']);
    const events = exchange.settle(1, [{ trade: 3, reason: INSUFFICIENT }], [], contentOf(first!));
    const recut = only(events, 'batchesRecut');
    assert.deepEqual([recut?.cause, recut?.firstBatchId, recut?.lastBatchId], ['earlier_cut_settled', 1, 2]);
    assert.deepEqual(recut?.unsealedTrades, [8, 9]);
    assert.deepEqual(
      all(events, 'batchSealed').map(({ batch }) => batch),
      [first, second],
    );
    const final = only(events, 'batchFinal');
    assert.deepEqual([final?.settledTrades, final?.voidedTrades.map(({ tradeId }) => tradeId)], [[1, 2, 3], [4]]);
    assert.deepEqual(exchange.engine.batchesInFlight(), [second]);
    assert.equal(exchange.engine.unsealedTrades, 2);
    assertSameAfterRecovery(exchange);
    assert.deepEqual(
      exchange.seal()?.batch.trades.map(({ tradeId }) => tradeId),
      [8, 9],
    );
    exchange.settle(2);
    exchange.settle(3);
    assert.equal(exchange.engine.unsealedTrades + exchange.engine.batchesInFlight().length, 0);
    assert.equal(exchange.balance(ALICE, BASE).settled, 1_000_000 + 8 * 100);
    assertSameAfterRecovery(exchange);
  });

  it('wins over every later cut, and leaves those of which it is a part', () => {
    const exchange = sealed(2, 6);
    const [first, whole] = exchange.engine.batchesInFlight();
    exchange.reseal(2, 3);
    const [, half] = exchange.engine.batchesInFlight();
    exchange.reseal(1, 1);
    assert.equal(exchange.engine.core.earlierCuts.length, 2);
    assertSameAfterRecovery(exchange);
    exchange.settle(1, [], [], contentOf(first!));
    assert.deepEqual(inFlight(exchange), ['2:3–5', '3:6–8']);
    assert.equal(exchange.engine.core.earlierCuts.length, 1, 'the whole second batch may still land');
    assertSameAfterRecovery(exchange);
    const other = new Exchange();
    other.engine = decodeSnapshot(encodeSnapshot(exchange.engine));
    for (const [content, wanted] of [
      [half!, ['3:6–8']],
      [whole!, []],
    ] as const) {
      const restored = decodeSnapshot(encodeSnapshot(exchange.engine));
      const fact = { kind: 'batchSettled', batchId: 2, contentHash: contentOf(content), skips: [], withdrawals: [] };
      const sequence = (exchange.engine.lastSequence + 1) as never;
      const eventSequence = exchange.engine.lastChainEventSequence + 1;
      restored.apply({ sequence, timestampMs: exchange.nowMs as never, command: { ...fact, eventSequence } as never });
      assert.deepEqual(
        restored
          .batchesInFlight()
          .map(({ batchId, trades }) => `${batchId}:${trades[0]?.tradeId}–${trades.at(-1)?.tradeId}`),
        wanted,
      );
      assert.equal(restored.core.earlierCuts.length, 0);
    }
  });

  it('kills the cuts that are of another parent', () => {
    const exchange = sealed(2, 6);
    const [, whole] = exchange.engine.batchesInFlight();
    exchange.reseal(2, 3);
    exchange.reseal(1, 1);
    exchange.settle(1);
    assert.deepEqual(exchange.engine.core.earlierCuts, []);
    // The content of the whole second batch under an id that has another by now would be a broken invariant; the present cut is meant.
    assert.deepEqual(inFlight(exchange)[0], '2:2');
    exchange.settle(2, [], [], contentOf(whole!));
    assert.deepEqual(inFlight(exchange)[0], '3:3');
  });

  it('gives withdrawals back to the queue, and those whose account has asked to exit to their owner', () => {
    const exchange = funded();
    trade(exchange, 2);
    exchange.seal();
    const [first] = exchange.engine.batchesInFlight();
    exchange.reseal(1, 1);
    exchange.withdraw({ account: CAROL, amount: 10 });
    exchange.withdraw({ account: BOB, amount: 20 });
    exchange.seal();
    exchange.withdraw({ account: CAROL, amount: 30 });
    exchange.fact({ kind: 'exitRequested', account: BOB, asset: QUOTE });
    const events = exchange.settle(1, [], [], contentOf(first!));
    assert.equal(only(events, 'batchesRecut')?.unsealedWithdrawals.length, 2);
    assert.equal(only(events, 'withdrawalDone')?.reason, 'exit_requested');
    assertSameAfterRecovery(exchange);
    const batch = exchange.seal()?.batch;
    assert.equal(batch?.batchId, 2);
    assert.deepEqual(
      batch?.withdrawals.map(({ amount }) => amount),
      [10, 30],
    );
    exchange.settle(2, [], paid(2));
    assert.equal(exchange.balance(CAROL, QUOTE).settled, 10_000_000 - 40);
    assert.equal(exchange.balance(BOB, QUOTE).pendingWithdrawal, 0);
    assertSameAfterRecovery(exchange);
  });

  it('lets a deficit void what it has unsealed', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 0, 1_000_000);
    exchange.deposit(BOB, 1_000, 0);
    exchange.deposit(CAROL, 0, 1_000_000);
    exchange.place({ account: BOB, side: 'sell', size: 10, price: 100 });
    exchange.place({ account: CAROL, side: 'buy', size: 5, price: 100 });
    exchange.place({ account: CAROL, side: 'buy', size: 5, price: 100 });
    exchange.seal();
    const [first] = exchange.engine.batchesInFlight();
    exchange.reseal(1, 1);
    // Carol sells on what she bought; this is sealed, and comes back when the first cut lands.
    exchange.place({ account: CAROL, side: 'sell', size: 10, price: 110 });
    exchange.place({ account: ALICE, side: 'buy', size: 10, price: 110 });
    exchange.seal();
    const skips = [0, 1].map((trade) => ({ trade, reason: INSUFFICIENT }));
    const events = exchange.settle(1, skips, [], contentOf(first!));
    assert.deepEqual(
      all(events, 'tradeVoided').map(({ tradeId }) => tradeId),
      [3],
    );
    assert.equal(exchange.engine.unsealedTrades, 0);
    assert.equal(exchange.balance(ALICE, QUOTE).available, 1_000_000);
    assertSameAfterRecovery(exchange);
  });
});

describe('proceeds that will probably be skipped', () => {
  it('stay frozen over a reseal', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 0, 1_000_000);
    exchange.deposit(BOB, 1_000, 0);
    exchange.deposit(CAROL, 0, 1_000_000);
    exchange.place({ account: BOB, side: 'sell', size: 10, price: 100 });
    exchange.place({ account: CAROL, side: 'buy', size: 10, price: 100 });
    exchange.seal();
    exchange.place({ account: CAROL, side: 'sell', size: 4, price: 110 });
    for (let index = 0; index < 4; index++) exchange.place({ account: ALICE, side: 'buy', size: 1, price: 110 });
    exchange.seal();
    exchange.settle(1, [{ trade: 0, reason: INSUFFICIENT }]);
    const frozen = exchange.balance(ALICE, BASE).locked;
    assert.ok(frozen > 0);
    const events: readonly EngineEvent[] = exchange.reseal(2, 1);
    assert.equal(exchange.balance(ALICE, BASE).locked, frozen);
    assert.deepEqual(all(events, 'proceedsFrozen'), []);
    assert.equal(exchange.engine.core.suspectUntilBatch, 5);
    assertSameAfterRecovery(exchange);
  });
});
