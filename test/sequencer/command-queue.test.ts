import assert from 'node:assert/strict';
import type { Command } from '../../src/domain/commands.ts';
import { CommandQueue, QUEUE_BOUNDS } from '../../src/offchain-engine/sequencer/command-queue.ts';
import { cancel, cancelAfter, cancelAll, place } from './recording-engine.ts';

const OTHER = `0x${'b2'.repeat(20)}` as const;
const FACT: Command = { kind: 'chainEventNoted', eventSequence: 1 as never, name: 'x' };
const HALT: Command = { kind: 'haltWithdrawals', reason: 'drift' };

function offer(queue: CommandQueue, ...commands: Command[]): boolean[] {
  return commands.map((command) =>
    queue.offer({ command, encoded: new Uint8Array(), notAfterMs: undefined, settle: () => undefined }),
  );
}

function take(queue: CommandQueue, count: number): Command[] {
  return queue.take(count).map(({ command }) => command);
}

const LOST: Command = { kind: 'disarmDisconnect', gateway: 'g', account: OTHER, cancel: true };
const ARM: Command = { kind: 'armDisconnect', gateway: 'g', account: OTHER, leaseMs: 15_000 };
const RENEW: Command = { kind: 'renewGateway', gateway: 'g', leaseMs: 15_000 };

describe('the queue before the journal', () => {
  it('takes the operator first, then cancels, then the chain, then orders', () => {
    const queue = new CommandQueue();
    offer(queue, place(1), FACT, cancel(9), cancelAfter(5), HALT);
    assert.equal(queue.length, 5);
    assert.deepEqual(take(queue, 10), [HALT, cancel(9), cancelAfter(5), FACT, place(1)]);
    assert.equal(queue.length, 0);
  });

  it('keeps the order within a class', () => {
    const queue = new CommandQueue();
    offer(queue, place(3), place(1), place(2));
    assert.deepEqual(take(queue, 2), [place(3), place(1)]);
    assert.deepEqual(take(queue, 2), [place(2)]);
  });

  it('lets no cancel overtake the order it names, nor a cancel-all an order of its account', () => {
    const queue = new CommandQueue();
    offer(queue, place(1), place(2, OTHER), cancel(1), cancelAll(OTHER), cancel(7));
    assert.deepEqual(take(queue, 10), [cancel(7), place(1), place(2, OTHER), cancel(1), cancelAll(OTHER)]);
    offer(queue, FACT, cancel(1), cancelAll(OTHER));
    assert.deepEqual(take(queue, 10), [cancel(1), cancelAll(OTHER), FACT]);
  });

  it('lets the end of a connection not overtake the last orders of its account', () => {
    const queue = new CommandQueue();
    offer(queue, place(1), place(2, OTHER), LOST, place(3));
    assert.deepEqual(take(queue, 10), [place(1), place(2, OTHER), LOST, place(3)]);
    offer(queue, place(1), LOST);
    assert.deepEqual(take(queue, 10), [LOST, place(1)]);
  });

  it('lets a reduction not overtake the order it names, nor take a place of the operator', () => {
    const { order } = place(1) as Extract<Command, { kind: 'placeOrder' }>;
    const reduce: Command = { kind: 'reduceOrder', order, remaining: 1 as never };
    const queue = new CommandQueue({ operator: 1, cancel: 1, chain: 1, order: 2 });
    assert.deepEqual(offer(queue, place(1), reduce, HALT), [true, true, true]);
    assert.deepEqual(take(queue, 10), [HALT, place(1), reduce]);
  });

  it('gives connections that come and go no place of the operator', () => {
    const queue = new CommandQueue({ operator: 1, cancel: 3, chain: 1, order: 2 });
    assert.deepEqual(offer(queue, ARM, RENEW, LOST, ARM), [true, true, true, false]);
    assert.deepEqual(offer(queue, HALT), [true]);
    assert.deepEqual(take(queue, 10), [HALT, ARM, RENEW, LOST]);
  });

  it('bounds each class by itself: full of orders, it still takes cancels and facts', () => {
    const queue = new CommandQueue({ operator: 1, cancel: 2, chain: 1, order: 2 });
    assert.deepEqual(offer(queue, place(1), place(2), place(3)), [true, true, false]);
    assert.deepEqual(offer(queue, cancel(7), cancel(8), cancel(9)), [true, true, false]);
    assert.deepEqual(offer(queue, cancel(1), cancel(2), cancel(1)), [true, true, false]);
    assert.deepEqual(offer(queue, FACT, FACT, HALT, HALT), [true, false, true, false]);
  });

  it('lets a flood of one class starve no other', () => {
    const queue = new CommandQueue(QUEUE_BOUNDS);
    for (let count = 0; count < 1_000; count++) offer(queue, cancel(count + 10_000), FACT, place(count));
    const kinds = take(queue, 100).map(({ kind }) => kind);
    const share = (kind: string) => kinds.filter((taken) => taken === kind).length;
    assert.deepEqual([share('cancelOrder'), share('chainEventNoted'), share('placeOrder')], [50, 25, 25]);
  });

  it('fills a row with whatever there is', () => {
    const queue = new CommandQueue();
    for (let count = 0; count < 100; count++) offer(queue, cancel(count + 10_000));
    assert.equal(take(queue, 90).length, 90);
  });
});
