import assert from 'node:assert/strict';
import { encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { Address } from '../../src/domain/units.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { RecordTable } from '../../src/offchain-engine/record-table.ts';
import { decodeSnapshot, encodeSnapshot, makeReady, stateHash } from '../../src/offchain-engine/snapshot.ts';
import { BASE, Exchange, LIMITS } from './support/exchange.ts';

describe('tables of records', () => {
  it('keep what is in them while they grow, from an array to pages and on', () => {
    const table = new RecordTable(5, 16);
    for (let records = 16; records <= 65_536; records *= 2) {
      assert.equal(table.reserve(records), records > 16);
      assert.equal(table.reserve(records), false);
      assert.equal(table.capacity, records);
      assert.equal(table.ints.buffer, table.floats.buffer);
      for (let index = records >> 1; index < records; index++) table.floats[index * 4 + 3] = index;
      for (let index = 8; index < records; index++) assert.equal(table.floats[index * 4 + 3], index);
      assert.equal(table.ints[records * 8 - 8], 0);
    }
  });
});

describe('an engine whose tables have grown many times', () => {
  const ACCOUNTS = 1_500;
  const LANES = 8;
  const exchange = new Exchange({ limits: { openOrdersPerAccountMax: LANES } });
  const account = (index: number): Address => `0x${(index + 1).toString(16).padStart(40, 'a')}`;

  before(() => {
    for (let index = 0; index < ACCOUNTS; index++) exchange.deposit(account(index), 100, 10_000_000);
    for (let lane = 0; lane < LANES; lane++) {
      for (let index = 0; index < ACCOUNTS; index++) {
        const buys = index % 2 === 0;
        const price = buys ? 100 + ((index * 7) % 200) : 400 + ((index * 7) % 200);
        exchange.place({ account: account(index), side: buys ? 'buy' : 'sell', size: 1, price, lane });
      }
    }
  });

  it('has every order, and finds each to cancel it', () => {
    const resting = Array.from({ length: ACCOUNTS }, (_, index) => exchange.engine.liveOrders(account(index)).length);
    assert.deepEqual(new Set(resting), new Set([LANES]));
    for (let index = 0; index < ACCOUNTS; index += 3)
      exchange.apply({ kind: 'cancelAllOrders', account: account(index), market: undefined });
    assert.equal(exchange.engine.liveOrders(account(3)).length, 0);
    assert.equal(exchange.engine.liveOrders(account(4)).length, LANES);
    assert.equal(exchange.engine.balance(account(3), BASE).locked, 0);
  });

  it('comes to the same state by replay of rows and through a snapshot', () => {
    const hash = stateHash(exchange.engine);
    const replayed = new Engine();
    const encoded = exchange.journal.map(encodeSequencedCommand);
    for (let first = 0; first < encoded.length; first += 512)
      replayed.executeEncoded(encoded.slice(first, first + 512));
    assert.equal(stateHash(replayed), hash);
    assert.equal(stateHash(decodeSnapshot(encodeSnapshot(exchange.engine))), hash);
  });

  it('copies its tables for a snapshot into memory that was there before they grew', () => {
    const engine = new Engine();
    const encoded = exchange.journal.map(encodeSequencedCommand);
    // Accounts, deposits and the first few hundred orders.
    const early = encoded.length - ACCOUNTS * LANES;
    engine.executeEncoded(encoded.slice(0, early));
    for (const fetching = makeReady(engine, encoded.length - early); fetching.next().done !== true; );
    const { pool, lanes } = engine.core;
    const [orders, slots] = [pool.used, lanes.count];
    engine.executeEncoded(encoded.slice(early));
    assert.ok(pool.used > orders * 8 && lanes.count > slots * 8);
    const before = process.memoryUsage().arrayBuffers;
    const copies = [pool.copy(), lanes.copy()] as const;
    assert.ok(process.memoryUsage().arrayBuffers - before < 10_000);
    pool.takeBack(copies[0]);
    lanes.takeBack(copies[1]);
  });

  it('still has every order of an account after its lanes were swept', () => {
    exchange.nowMs += LIMITS.orderAgeMaxMs + 1;
    // From here on the engine is no longer where its journal leads.
    exchange.engine.core.lanes.sweepAt = 1;
    const before = exchange.engine.liveOrders(account(4));
    exchange.place({ account: account(3), side: 'buy', size: 1, price: 100, lane: 100 });
    assert.equal(exchange.engine.core.lanes.find(exchange.engine.core.accounts.find(account(3)), 0), 0);
    assert.deepEqual(exchange.engine.liveOrders(account(4)), before);
    assert.equal(exchange.engine.liveOrders(account(3)).length, 1);
    exchange.apply({ kind: 'cancelAllOrders', account: account(3), market: undefined });
    exchange.place({ account: account(3), side: 'buy', size: 1, price: 100, lane: 0 });
    assert.deepEqual(
      exchange.engine.liveOrders(account(3)).map(({ lane }) => lane),
      [0],
    );
  });
});
