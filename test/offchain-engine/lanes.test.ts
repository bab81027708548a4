import assert from 'node:assert/strict';
import type { TimestampSeconds } from '../../src/domain/units.ts';
import { Accounts, DROPPED_SEQUENCE } from '../../src/offchain-engine/accounts.ts';
import { LANE_SLOT, LIFE_INT_SHIFT, OrderPool } from '../../src/offchain-engine/book/order-pool.ts';
import { DIGEST_WORDS, writeDigest } from '../../src/offchain-engine/digest-words.ts';
import { Lanes } from '../../src/offchain-engine/lanes.ts';
import { decodeSnapshot, encodeSnapshot, stateHash } from '../../src/offchain-engine/snapshot.ts';
import { ALICE, digest, Exchange, LIMITS, rejection } from './support/exchange.ts';

function wordsOf(number: number): Int32Array {
  const words = new Int32Array(DIGEST_WORDS);
  writeDigest(words, 0, digest(number));
  return words;
}

describe('lanes', () => {
  it('are found again however many there are, and follow their orders when the table grows', () => {
    const lanes = new Lanes(16);
    const pool = new OrderPool();
    const accounts = new Accounts();
    for (let lane = 0; lane < 500; lane++) {
      const at = lanes.open(lane % 7, lane);
      lanes.use(at, lane, wordsOf(lane), 0);
      lanes.takeBy(at, pool.allocate(), lane % 7, accounts);
      pool.lifeInts[(lanes.order(at) << LIFE_INT_SHIFT) + LANE_SLOT] = at;
    }
    for (let lane = 0; lane < 500; lane++) {
      const at = lanes.find(lane % 7, lane);
      assert.equal(lanes.sequence(at), lane);
      assert.ok(lanes.hasDigest(at, wordsOf(lane), 0));
      assert.ok(!lanes.hasDigest(at, wordsOf(lane + 1), 0));
      assert.equal(pool.lifeInts[(lanes.order(at) << LIFE_INT_SHIFT) + LANE_SLOT], at);
      assert.equal(lanes.find((lane + 1) % 7, lane), 0);
    }
  });

  it('are dropped when dead, and only then', () => {
    const lanes = new Lanes(16);
    const pool = new OrderPool();
    const accounts = new Accounts();
    const account = accounts.open(ALICE);
    for (const [lane, sequence, live] of [
      [0, 10, 0],
      [1, 30, 0],
      [2, 20, 0],
      [3, 5, 1],
    ] as const) {
      const at = lanes.open(account, lane);
      lanes.use(at, sequence, wordsOf(sequence), 0);
      if (live !== 0) lanes.takeBy(at, live, account, accounts);
    }
    lanes.sweepIfDue(30, pool, accounts);
    assert.equal(lanes.count, 4);
    lanes.sweepAt = 4;
    lanes.sweepIfDue(30, pool, accounts);
    assert.deepEqual(
      [0, 1, 2, 3].map((lane) => lanes.find(account, lane) !== 0),
      [false, true, false, true],
    );
    assert.equal(accounts.figure(account, DROPPED_SEQUENCE), 20);
    assert.ok(lanes.sweepAt > 4);
  });

  it('that were dropped still refuse their orders when the limit on orders’ age is raised', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 0, 1_000_000);
    const used = exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, lane: 1 }).order;
    exchange.cancel(used);
    exchange.nowMs += LIMITS.orderAgeMaxMs + 1;
    exchange.engine.core.lanes.sweepAt = 1;
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, lane: 2 });
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order: used })), 'sequence_too_old');
    const limits = { ...LIMITS, orderAgeMaxMs: 2 * LIMITS.orderAgeMaxMs };
    exchange.apply({ kind: 'setLimits', limits, reason: 'slow clients' });
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order: used })), 'nonce_superseded');
    const later = exchange.order({
      account: ALICE,
      side: 'buy',
      size: 1,
      price: 1,
      lane: 1,
      orderSequence: used.orderSequence + 1,
    });
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order: later })), undefined);
  });

  it('that were dropped still refuse an older registered order, through a snapshot too', () => {
    const exchange = new Exchange();
    exchange.deposit(ALICE, 0, 1_000_000);
    const used = exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, lane: 1 }).order;
    exchange.cancel(used);
    exchange.nowMs += 700_000;
    exchange.engine.core.lanes.sweepAt = 1;
    exchange.place({ account: ALICE, side: 'buy', size: 1, price: 1, lane: 2 });
    const restored = decodeSnapshot(encodeSnapshot(exchange.engine));
    assert.equal(stateHash(restored), stateHash(exchange.engine));
    exchange.engine = restored;
    const expiry = (Math.floor(exchange.nowMs / 1000) + 60) as TimestampSeconds;
    const older = exchange.order({
      account: ALICE,
      side: 'buy',
      size: 1,
      price: 1,
      lane: 1,
      signature: '0x',
      orderSequence: used.orderSequence,
      expiry,
    });
    exchange.fact({ kind: 'orderRegistered', account: ALICE, digest: older.digest });
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order: older })), 'nonce_superseded');
    const newer = { ...older, orderSequence: used.orderSequence + 1 };
    assert.equal(rejection(exchange.apply({ kind: 'placeOrder', order: newer })), undefined);
  });
});
