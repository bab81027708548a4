/** One suite for every transport: what the port promises, whichever carries it. */
import assert from 'node:assert/strict';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { JournalSequence, Lots, PriceTicks, TimestampMs } from '../../src/domain/units.ts';
import { createInProcessTransport } from '../../src/messaging/in-process.ts';
import { MarketDataView, type MarketDelta } from '../../src/messaging/market-data.ts';
import type { BookSnapshot, Transport } from '../../src/messaging/port.ts';
import { createRedisTransport } from '../../src/messaging/redis/transport.ts';
import { useTestRedis } from '../support/redis.ts';
import { countingEngine, frame, level, placement, soon, TRANSPORT_SECRET, trade, until } from './samples.ts';

/** The two ends of one exchange; in one process they are one object. */
type Ends = { readonly gateway: Transport; readonly otherGateway: Transport; readonly engine: Transport };

const quiet = { onProblem: () => undefined };

describe('the in-process transport', () => {
  keepsThePromises(async () => {
    const transport = createInProcessTransport(quiet);
    return { gateway: transport, otherGateway: transport, engine: transport };
  });
});

describe('the Redis transport', () => {
  const { redis } = useTestRedis();
  let namespaces = 0;
  keepsThePromises(async () => {
    const options = {
      url: redis().url,
      namespace: `suite-${++namespaces}`,
      secret: TRANSPORT_SECRET,
      onForged: () => undefined,
      ...quiet,
    };
    const [gateway, otherGateway, engine] = await Promise.all([
      createRedisTransport(options),
      createRedisTransport(options),
      createRedisTransport(options),
    ]);
    return { gateway, otherGateway, engine };
  });
});

function keepsThePromises(open: () => Promise<Ends>): void {
  let ends: Ends;
  beforeEach(async () => {
    ends = await open();
  });
  afterEach(async () => {
    await Promise.all([...new Set(Object.values(ends))].map((end) => end.close()));
  });

  describe('commands', () => {
    it('answers a command with what the handler said, unchanged', async () => {
      const engine = countingEngine();
      await ends.engine.serveCommands(engine.handler);
      const reply = await ends.gateway.submit(placement(1), soon());
      assert.ok(reply.kind === 'committed');
      assert.equal(reply.sequence, 101);
      assert.equal(reply.events[0]?.kind, 'orderAccepted');
      assert.equal(reply.receipt.leafCount, 1);
    });

    it('executes many concurrent commands once each', async () => {
      const engine = countingEngine();
      await ends.engine.serveCommands(engine.handler);
      const replies = await Promise.all(
        Array.from({ length: 500 }, (_, i) =>
          (i % 2 ? ends.gateway : ends.otherGateway).submit(placement(i), soon(8_000)),
        ),
      );
      assert.ok(replies.every((reply) => reply.kind === 'committed'));
      assert.equal(engine.executions().size, 500);
      assert.ok([...engine.executions().values()].every((count) => count === 1));
    });

    it('executes the same signed command from two gateways once and answers both alike', async () => {
      const engine = countingEngine(50);
      await ends.engine.serveCommands(engine.handler);
      const replies = await Promise.all([
        ends.gateway.submit(placement(7), soon()),
        ends.otherGateway.submit(placement(7), soon()),
      ]);
      const later = await ends.gateway.submit(placement(7), soon());
      assert.equal(engine.executions().get('order-7'), 1);
      assert.deepEqual(replies[1], replies[0]);
      assert.deepEqual(later, replies[0]);
    });

    it('executes a refused command again when it is sent again', async () => {
      let refusals = 0;
      await ends.engine.serveCommands(async () => {
        refusals++;
        return { kind: 'overloaded', retryAfterMs: 5 };
      });
      const first = await ends.gateway.submit(placement(8), soon());
      assert.deepEqual(first, { kind: 'overloaded', retryAfterMs: 5 });
      await ends.gateway.submit(placement(8), soon());
      assert.equal(refusals, 2);
    });

    it('executes an unsigned command as often as it is sent', async () => {
      const engine = countingEngine();
      await ends.engine.serveCommands(engine.handler);
      const cancelAll = { kind: 'cancelAllOrders', account: `0x${'a1'.repeat(20)}`, market: undefined } as const;
      await ends.gateway.submit(cancelAll, soon());
      await ends.gateway.submit(cancelAll, soon());
      assert.equal(engine.executions().get('cancelAllOrders'), 2);
    });

    it('never says committed when nobody serves', async () => {
      const reply = await ends.gateway.submit(placement(1), soon(100));
      assert.notEqual(reply.kind, 'committed');
    });

    it('does not start a command whose time has passed', async () => {
      const engine = countingEngine();
      await ends.engine.serveCommands(engine.handler);
      const reply = await ends.gateway.submit(placement(1), { notAfterMs: (Date.now() - 1) as TimestampMs });
      assert.equal(reply.kind, 'overloaded');
      assert.equal(engine.executions().size, 0);
    });

    it('answers unknown when the handler throws', async () => {
      await ends.engine.serveCommands(() => Promise.reject(new Error('broken')));
      assert.deepEqual(await ends.gateway.submit(placement(1), soon(200)), { kind: 'unknown' });
    });

    it('waits for what is under way when serving stops', async () => {
      const engine = countingEngine(100);
      const stop = await ends.engine.serveCommands(engine.handler);
      const submitted = ends.gateway.submit(placement(1), soon());
      await until(() => engine.executions().size === 1, 'the command is under way');
      await stop();
      assert.equal((await submitted).kind, 'committed');
    });
  });

  describe('events', () => {
    it('brings frames to every subscriber in order', async () => {
      const seen: [number[], number[]] = [[], []];
      await subscribe(ends.gateway, seen[0]);
      await subscribe(ends.otherGateway, seen[1]);
      for (let i = 1; i <= 1_000; i += 4) ends.engine.publish([frame(i), frame(i + 1), frame(i + 2), frame(i + 3)]);
      await until(() => seen[0].length === 1_000 && seen[1].length === 1_000, 'all frames have come');
      const expected = Array.from({ length: 1_000 }, (_, i) => i + 1);
      assert.deepEqual(seen[0], expected);
      assert.deepEqual(seen[1], expected);
    });

    it('drops repeated frames and announces missing ones', async () => {
      const seen: (number | string)[] = [];
      await subscribe(ends.gateway, seen);
      ends.engine.publish([frame(1), frame(2)]);
      ends.engine.publish([frame(2), frame(3)]);
      ends.engine.publish([frame(6)]);
      await until(() => seen.includes(6), 'the last frame has come');
      assert.deepEqual(seen, [1, 2, 3, 'gap 4…6', 6]);
    });

    it('keeps the content of events', async () => {
      const frames: AppliedCommand[] = [];
      await ends.gateway.subscribe({ onApplied: (applied) => frames.push(...applied), onGap: () => undefined });
      ends.engine.publish([frame(1, [level('buy', 100, 5), trade(1, 100)])]);
      await until(() => frames.length === 1, 'the frame has come');
      assert.deepEqual(frames[0], frame(1, [level('buy', 100, 5), trade(1, 100)]));
    });
  });

  describe('market data', () => {
    it('answers no snapshot when nobody serves', async () => {
      assert.equal(await ends.gateway.requestSnapshot(100), undefined);
    });

    it('starts from a snapshot, follows the frames, and starts again after a gap', async () => {
      const books = new Map<string, number>([['buy 100', 5]]);
      let sequence = 10;
      const change = (published: boolean, side: 'buy' | 'sell', price: number, size: number): void => {
        books.set(`${side} ${price}`, size);
        sequence++;
        if (published) ends.engine.publish([frame(sequence, [level(side, price, size)])]);
      };
      await ends.engine.serveSnapshots(() => snapshotOf(sequence, books));
      const view = new MarketDataView({ events: ends.gateway, snapshots: ends.gateway, seedTrades: async () => [] });
      const deltas: MarketDelta[] = [];
      view.subscribe((delta) => deltas.push(delta));
      await view.start();
      assert.deepEqual(view.depth(0, 10)?.bids, [[100, 5]]);
      assert.equal(view.depth(0, 10)?.seq, 10);

      change(true, 'sell', 105, 7);
      change(true, 'buy', 101, 2);
      await until(() => view.depth(0, 10)?.seq === 12, 'the changes have come');
      assert.deepEqual(view.depth(0, 10)?.bids, [
        [101, 2],
        [100, 5],
      ]);
      assert.deepEqual(view.depth(0, 1)?.asks, [[105, 7]]);
      const last = deltas.at(-1);
      assert.ok(last?.kind === 'depth' && last.prevSeq === 11 && last.seq === 12);

      change(false, 'buy', 101, 0);
      change(true, 'buy', 99, 1);
      await until(() => deltas.filter((delta) => delta.kind === 'resync').length === 2, 'the view has started again');
      assert.equal(view.synced, true);
      assert.deepEqual(view.depth(0, 10)?.bids, [
        [100, 5],
        [99, 1],
      ]);
      await view.stop();
    });

    it('keeps the latest trades, seeded ones first', async () => {
      await ends.engine.serveSnapshots(() => snapshotOf(10, new Map([['buy 100', 5]])));
      const seeded = {
        tradeId: 1,
        market: 0,
        priceTicks: 99 as PriceTicks,
        sizeLots: 1 as Lots,
        takerSide: 'buy',
        timestampMs: 5 as TimestampMs,
      } as const;
      const view = new MarketDataView({
        events: ends.gateway,
        snapshots: ends.gateway,
        seedTrades: async () => [seeded],
      });
      await view.start();
      ends.engine.publish([frame(11, [trade(2, 100), trade(3, 101)])]);
      await until(() => view.trades(0, 10)?.seq === 11, 'the trades have come');
      assert.deepEqual(
        view.trades(0, 2)?.trades.map(({ tradeId, priceTicks }) => [tradeId, priceTicks]),
        [
          [3, 101],
          [2, 100],
        ],
      );
      assert.equal(view.trades(0, 10)?.trades.length, 3);
      await view.stop();
    });
  });
}

async function subscribe(transport: Transport, seen: (number | string)[]): Promise<void> {
  await transport.subscribe({
    onApplied: (frames) => {
      for (const { sequence } of frames) seen.push(sequence);
    },
    onGap: ({ expected, got }) => seen.push(`gap ${expected}…${got}`),
  });
}

function snapshotOf(sequence: number, books: ReadonlyMap<string, number>): BookSnapshot {
  const levels = (side: string): (readonly [PriceTicks, Lots])[] =>
    [...books].flatMap(([key, size]) => {
      const [ofSide, price] = key.split(' ');
      return ofSide === side && size > 0 ? [[Number(price) as PriceTicks, size as Lots] as const] : [];
    });
  return { sequence: sequence as JournalSequence, books: [{ market: 0, bids: levels('buy'), asks: levels('sell') }] };
}
