/** What a gateway remembers of placements: those under way always, those done for a while, those that failed not at all. */
import assert from 'node:assert/strict';
import { PlacementMemory } from '../../src/api/trading/placement-memory.ts';
import type { Hash } from '../../src/domain/units.ts';

type Outcome = { readonly placed: number; readonly isNew: boolean };

const digestOf = (order: number): Hash => `0x${order.toString(16).padStart(64, '0')}`;
const never = (): never => assert.fail('it ran again');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the memory of placements', () => {
  it('joins a repeated one while it is under way and when it is done', async () => {
    const memory = new PlacementMemory<number>();
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const first = memory.once(digestOf(1), 'content', () => promise);
    const meanwhile = memory.once(digestOf(1), 'content', never);
    resolve({ placed: 7, isNew: true });
    assert.deepEqual(await Promise.all([first, meanwhile]), [
      { placed: 7, isNew: true },
      { placed: 7, isNew: false },
    ]);
    await turn();
    assert.deepEqual(await memory.once(digestOf(1), 'content', never), { placed: 7, isNew: false });
    assert.equal(await memory.find(digestOf(1)), 7);
  });

  it('refuses other content around the same digest, under way or done', async () => {
    const memory = new PlacementMemory<number>();
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const first = memory.once(digestOf(1), 'content', () => promise);
    await assert.rejects(memory.once(digestOf(1), 'other', never), { code: 'CONFLICT' });
    resolve({ placed: 7, isNew: true });
    await first;
    await turn();
    await assert.rejects(memory.once(digestOf(1), 'other', never), { code: 'CONFLICT' });
  });

  it('lets what failed be tried again', async () => {
    const memory = new PlacementMemory<number>();
    const failing = memory.once(digestOf(1), 'content', () => Promise.reject(new Error('refused')));
    assert.equal(await memory.find(digestOf(1)), undefined);
    await assert.rejects(failing, /refused/);
    const again = memory.once(digestOf(1), 'content', async () => ({ placed: 8, isNew: true }));
    assert.deepEqual(await again, { placed: 8, isNew: true });
  });

  it('shows one that is under way only once the engine has it', async () => {
    const memory = new PlacementMemory<number>();
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const running = memory.once(digestOf(1), 'content', () => promise);
    assert.equal(await memory.submitted(digestOf(1)), undefined);
    memory.markSubmitted(digestOf(1));
    const submitted = memory.submitted(digestOf(1));
    resolve({ placed: 7, isNew: true });
    await running;
    assert.equal(await submitted, 7);
    await turn();
    assert.equal(await memory.submitted(digestOf(1)), 7);
  });

  it('does not show one that was never brought to the engine, because it stood for an earlier one', async () => {
    const memory = new PlacementMemory<number>();
    await memory.once(digestOf(2), 'content', async () => ({ placed: 1, isNew: false }));
    await turn();
    assert.equal(await memory.submitted(digestOf(2)), undefined);
    assert.equal(await memory.find(digestOf(2)), 1);
  });

  it('forgets the oldest of those done beyond its bound, and none that is under way', async () => {
    const memory = new PlacementMemory<number>();
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const slow = memory.once(digestOf(0), 'content', () => promise);
    for (let order = 1; order <= 10_000; order++)
      await memory.once(digestOf(order), 'content', async () => ({ placed: order, isNew: true }));
    await turn();
    assert.equal(await memory.find(digestOf(1)), undefined);
    assert.equal(await memory.find(digestOf(6_000)), 6_000);
    const joined = memory.once(digestOf(0), 'content', never);
    resolve({ placed: 0, isNew: true });
    assert.deepEqual(await Promise.all([slow, joined]), [
      { placed: 0, isNew: true },
      { placed: 0, isNew: false },
    ]);
  });
});
