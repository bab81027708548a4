/** Redis is transport only: what happens to commands and events when it dies, forgets, trims, or repeats itself. */
import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import type { UserCommand } from '../../src/domain/commands.ts';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { CommandReply, Transport } from '../../src/messaging/port.ts';
import { createSealer, type Sealer, type SealPurpose } from '../../src/messaging/redis/seal.ts';
import { createRedisTransport } from '../../src/messaging/redis/transport.ts';
import { useTestRedis } from '../support/redis.ts';
import { countingEngine, frame, placement, soon, TRANSPORT_SECRET, until } from './samples.ts';

describe('the Redis transport under faults', () => {
  const { redis } = useTestRedis();
  const opened: Transport[] = [];
  let namespace = 'faults';
  let tests = 0;
  let direct: Redis;
  const forged: string[] = [];

  beforeEach(() => {
    namespace = `faults-${++tests}`;
    forged.length = 0;
    direct = new Redis(redis().url, { maxRetriesPerRequest: null });
    direct.on('error', () => undefined);
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((transport) => transport.close()));
    direct.disconnect();
  });

  const sealer = (purpose: SealPurpose, secret = TRANSPORT_SECRET): Sealer => createSealer(secret, namespace, purpose);

  /** Fields of a stream entry as a gateway writes them. */
  function sealed(id: string, attempt: string, command: UserCommand, secret?: string): string[] {
    const request = { id, replyChannel: 'nobody', notAfterMs: soon(5_000).notAfterMs, command };
    return ['attempt', attempt, 'request', sealer('command', secret).seal(JSON.stringify(request))];
  }

  async function open(): Promise<Transport> {
    const transport = await createRedisTransport({
      url: redis().url,
      namespace,
      secret: TRANSPORT_SECRET,
      onProblem: () => undefined,
      onForged: ({ what, count }) => forged.push(...Array.from({ length: count }, () => what)),
    });
    opened.push(transport);
    return transport;
  }

  it('answers a command that was sent before Redis was killed and came back empty', async () => {
    const gateway = await open();
    const submitted = gateway.submit(placement(1), soon(8_000));
    await until(async () => (await direct.xlen(`{${namespace}}:commands`)) === 1, 'the command stands in the stream');
    await redis().kill();
    await redis().start();
    const engine = countingEngine();
    await (await open()).serveCommands(engine.handler);
    assert.equal((await submitted).kind, 'committed');
    assert.equal(engine.executions().get('order-1'), 1);
  });

  it('goes on serving after Redis was killed and came back empty, and executes nothing twice', async () => {
    const gateway = await open();
    const engine = countingEngine(300);
    await (await open()).serveCommands(engine.handler);
    const first = gateway.submit(placement(1), soon(8_000));
    await until(() => engine.executions().size === 1, 'the command is under way');
    await redis().kill();
    await redis().start();
    assert.equal((await first).kind, 'committed');
    assert.equal((await gateway.submit(placement(2), soon(8_000))).kind, 'committed');
    assert.deepEqual(
      [...engine.executions()],
      [
        ['order-1', 1],
        ['order-2', 1],
      ],
    );
  });

  it('says that nothing was sent while Redis is away', async () => {
    const gateway = await open();
    await redis().kill();
    await until(
      async () => (await gateway.submit(placement(1), soon(100))).kind === 'overloaded',
      'the loss is noticed',
    );
    await redis().start();
  });

  it('executes once what the stream delivers twice', async () => {
    const gateway = await open();
    const engine = countingEngine();
    const submitted = gateway.submit(placement(1), soon(8_000));
    await until(async () => (await direct.xlen(`{${namespace}}:commands`)) === 1, 'the command stands in the stream');
    const [entry] = await direct.xrange(`{${namespace}}:commands`, '-', '+');
    for (let i = 0; i < 3; i++) await direct.xadd(`{${namespace}}:commands`, '*', ...(entry?.[1] ?? []));
    await (await open()).serveCommands(engine.handler);
    assert.equal((await submitted).kind, 'committed');
    await until(async () => (await direct.xlen(`{${namespace}}:commands`)) === 0, 'every copy is consumed');
    assert.equal(engine.executions().get('order-1'), 1);
  });

  it('sends a command again that was trimmed away before it was read', async () => {
    const gateway = await open();
    const submitted = gateway.submit(placement(1), soon(8_000));
    await until(async () => (await direct.xlen(`{${namespace}}:commands`)) === 1, 'the command stands in the stream');
    await direct.xtrim(`{${namespace}}:commands`, 'MAXLEN', 0);
    const engine = countingEngine();
    await (await open()).serveCommands(engine.handler);
    assert.equal((await submitted).kind, 'committed');
  });

  it('hands a new leader what the one before had read but not answered', async () => {
    const gateway = await open();
    const deposed = await open();
    let read = 0;
    let release: (reply: CommandReply) => void = () => undefined;
    // A leader that hangs: it read the command and does not answer.
    await deposed.serveCommands(() => {
      read++;
      return new Promise((resolve) => {
        release = resolve;
      });
    });
    const submitted = gateway.submit(
      { kind: 'cancelAllOrders', account: `0x${'a1'.repeat(20)}`, market: 0 },
      soon(8_000),
    );
    await until(() => read === 1, 'the first leader has read it');
    const engine = countingEngine();
    await (await open()).serveCommands(engine.handler);
    assert.equal((await submitted).kind, 'committed');
    assert.equal(engine.executions().get('cancelAllOrders'), 1);
    release({ kind: 'unknown' });
  });

  it('answers a repeated request from the reply that the leader before had given', async () => {
    const gateway = await open();
    const first = await open();
    const engine = countingEngine();
    await first.serveCommands(engine.handler);
    const submitted = gateway.submit(placement(1), soon(8_000));
    await submitted;
    const kept = await direct.keys(`{${namespace}}:reply:*`);
    assert.equal(kept.length, 1);
    const id = kept[0]?.split(':reply:')[1] ?? '';
    await first.close();
    opened.splice(opened.indexOf(first), 1);
    const repeat = sealed(id, '2', placement(1));
    const successor = countingEngine();
    await (await open()).serveCommands(successor.handler);
    await direct.xadd(`{${namespace}}:commands`, '*', ...repeat);
    await until(async () => (await direct.xlen(`{${namespace}}:commands`)) === 0, 'the repeat is consumed');
    assert.equal(successor.executions().size, 0);
  });

  it('does not execute again what it answered before Redis lost the reply', async () => {
    const engine = countingEngine();
    await (await open()).serveCommands(engine.handler);
    const cancelAll: UserCommand = { kind: 'cancelAllOrders', account: `0x${'a1'.repeat(20)}`, market: undefined };
    const entry = (attempt: string): string[] => sealed('one', attempt, cancelAll);
    const consumed = async (): Promise<boolean> => (await direct.xlen(`{${namespace}}:commands`)) === 0;
    await until(async () => (await direct.exists(`{${namespace}}:commands`)) === 1, 'the group is there');
    await direct.xadd(`{${namespace}}:commands`, '*', ...entry('1'));
    await until(consumed, 'the command is consumed');
    await direct.flushall();
    await direct.xadd(`{${namespace}}:commands`, '*', ...entry('2'));
    await until(consumed, 'the repeat is consumed');
    assert.equal(engine.executions().get('cancelAllOrders'), 1);
  });

  it('refuses commands that no gateway sealed, tells of them, and goes on', async () => {
    const gateway = await open();
    const engine = countingEngine();
    await (await open()).serveCommands(engine.handler);
    const request = JSON.stringify({
      id: 'x',
      replyChannel: 'r',
      notAfterMs: soon().notAfterMs,
      command: placement(7),
    });
    const attempts: Record<string, string[]> = {
      'something else': ['nonsense', 'yes'],
      'no seal': ['attempt', '1', 'request', request],
      'the seal of another secret': sealed('x', '1', placement(7), 'another secret of thirty-two characters'),
      'the seal of another purpose': ['attempt', '1', 'request', sealer('events').seal(request)],
      'a changed content': sealed('x', '1', placement(7)).map((field) => field.replace('"sizeLots":5', '"sizeLots":6')),
    };
    for (const fields of Object.values(attempts)) await direct.xadd(`{${namespace}}:commands`, '*', ...fields);
    assert.equal((await gateway.submit(placement(1), soon())).kind, 'committed');
    assert.deepEqual([...engine.executions()], [['order-1', 1]]);
    await until(() => forged.length === Object.keys(attempts).length, 'all of them were told');
    assert.ok(forged.every((what) => what === 'a command'));
  });

  it('refuses replies and events that no engine sealed', async () => {
    const gateway = await open();
    const frames: AppliedCommand[] = [];
    await gateway.subscribe({ onApplied: (applied) => frames.push(...applied), onGap: () => undefined });
    const channel = new Promise<string>((resolve) => {
      // What a thief of Redis sees: the channel that the gateway listens on.
      const look = async (): Promise<void> => {
        const [found] = (await direct.pubsub('CHANNELS', `{${namespace}}:to:*`)) as string[];
        if (found === undefined) setTimeout(() => void look(), 10);
        else resolve(found);
      };
      void look();
    });
    const submitted = gateway.submit(placement(1), soon(1_000));
    await until(async () => (await direct.xlen(`{${namespace}}:commands`)) === 1, 'the command stands in the stream');
    const [entry] = await direct.xrange(`{${namespace}}:commands`, '-', '+');
    const { id } = JSON.parse((entry?.[1].at(-1) ?? '').slice(22)) as { id: string };
    const reply = { kind: 'reply', id, reply: { kind: 'overloaded', retryAfterMs: 1 } };
    await direct.publish(await channel, JSON.stringify(reply));
    await direct.xadd(`{${namespace}}:events`, '*', 'frames', JSON.stringify([frame(1)]));
    assert.equal((await submitted).kind, 'unknown');
    await until(() => forged.includes('a reply') && forged.includes('events'), 'both were told');
    assert.deepEqual(frames, []);
  });

  it('announces events that were lost when Redis came back empty, even when nothing follows them', async () => {
    const gateway = await open();
    const engine = await open();
    const frames: AppliedCommand[] = [];
    const gaps: unknown[] = [];
    await gateway.subscribe({ onApplied: (applied) => frames.push(...applied), onGap: (gap) => gaps.push(gap) });
    engine.publish([frame(1)]);
    await until(() => frames.length === 1, 'the first frame has come');
    await redis().kill();
    engine.publish([frame(2)]);
    engine.publish([frame(3)]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await redis().start();
    await until(() => gaps.length === 1, 'the gap is announced');
    assert.deepEqual(gaps, [{ expected: 2, got: 3 }]);
    assert.deepEqual(
      frames.map(({ sequence }) => sequence),
      [1, 3],
    );
  });
});
