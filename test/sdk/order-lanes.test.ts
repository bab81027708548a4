import assert from 'node:assert/strict';
import type { Order } from '../../src/sdk/index.ts';
import { LaneAllocator } from '../../src/sdk/lanes.ts';
import { OrderLanes } from '../../src/sdk/order-lanes.ts';

describe('the lanes of a client', () => {
  const live = new Map<string, Order>();
  let looks = 0;

  const createLanes = (lastLane = 999): OrderLanes => {
    live.clear();
    looks = 0;
    const allocator = new LaneAllocator({ deployedAtMs: 0, now: () => 1_000, firstLane: 0, lastLane });
    return new OrderLanes(allocator, async () => {
      looks++;
      return [...live.values()];
    });
  };
  const answer = (lane: number, id: string, status: Order['status']) => ({ id, lane, status }) as Order;
  const rest = async (lanes: OrderLanes, id: string): Promise<number> => {
    const lane = await lanes.take();
    lanes.sending(lane, id);
    live.set(id, answer(lane, id, 'open'));
    lanes.update(answer(lane, id, 'open'));
    return lane;
  };

  it('hands out the lowest free lane, and one that was given back again', async () => {
    const lanes = createLanes();
    assert.deepEqual([await rest(lanes, 'a'), await rest(lanes, 'b'), await rest(lanes, 'c')], [0, 1, 2]);
    lanes.update(answer(1, 'b', 'cancelled'));
    assert.equal(await lanes.take(), 1);
  });

  it('does not give away the lane of an order that is still being sent, whatever a look shows', async () => {
    const lanes = createLanes();
    const lane = await lanes.take();
    lanes.sending(lane, 'under way');
    await lanes.lookUp();
    assert.notEqual(await lanes.take(), lane);
    lanes.update(answer(lane, 'under way', 'open'));
    live.set('under way', answer(lane, 'under way', 'open'));
    await lanes.lookUp();
    assert.equal(await lanes.take(), 2);
  });

  it('keeps the lane of an order whose answer was lost, for as long as it may still be committed', async () => {
    const lanes = createLanes();
    const lane = await lanes.take();
    lanes.sending(lane, 'lost');
    lanes.unanswered(lane);
    await lanes.lookUp();
    assert.notEqual(await lanes.take(), lane);
  });

  it('keeps off the lanes of another client of the account, once it has met one, until their orders end', async () => {
    const lanes = createLanes();
    for (const lane of [0, 1, 2]) live.set(`other ${lane}`, answer(lane, `other ${lane}`, 'open'));
    const lane = await lanes.take();
    lanes.sending(lane, 'refused');
    lanes.foundBusy(lane, 'refused');
    assert.deepEqual([lane, await lanes.take()], [0, 3]);
    live.delete('other 0');
    await lanes.lookUp();
    assert.equal(await lanes.take(), 0);
  });

  it('gives the lane of a refused replacement back to the order that it would have replaced', async () => {
    const lanes = createLanes();
    const lane = await rest(lanes, 'live');
    lanes.sending(lane, 'replacement');
    lanes.giveBack(lane, 'live');
    await lanes.lookUp();
    assert.notEqual(await lanes.take(), lane, 'the live order still holds it');
    live.delete('live');
    lanes.update(answer(lane, 'live', 'filled'));
    assert.equal(await lanes.take(), lane);
  });

  it('does not free a lane for news of the order that was replaced on it', async () => {
    const lanes = createLanes();
    const lane = await rest(lanes, 'old');
    lanes.sending(lane, 'new');
    lanes.update(answer(lane, 'new', 'open'));
    lanes.update(answer(lane, 'old', 'cancelled'));
    assert.notEqual(await lanes.take(), lane);
  });

  it('looks for ended orders once in a while, not before each order, and when no lane is left', async () => {
    const lanes = createLanes(39);
    for (let index = 0; index < 40; index++) await rest(lanes, `order ${index}`);
    assert.ok(looks <= 3, `${looks} looks`);
    live.delete('order 7');
    // The look tells only of orders that rested before it was asked.
    await new Promise((wake) => setTimeout(wake, 2));
    assert.equal(await lanes.take(), 7);
    await assert.rejects(lanes.take(), /every lane of this client holds a live order/);
  });

  it('never gives the same sequence twice, though the clock stands still', () => {
    const lanes = createLanes();
    const sequences = Array.from({ length: 100 }, () => lanes.nextSequence());
    assert.equal(new Set(sequences).size, 100);
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
    );
  });
});
