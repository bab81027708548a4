import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { redisKeys } from '../../../src/messaging/redis/connection.ts';
import { startTestRedis } from '../../../test/support/redis.ts';
import { during, FAULT_LASTS_MS, type Fault } from '../fault.ts';
import { until, type World } from '../world.ts';

export const REDIS_FAULTS: readonly Fault[] = [
  redisFault('killed, and back empty after two seconds', async ({ redis }) => {
    await redis.server().kill();
    await sleep(FAULT_LASTS_MS);
    await redis.server().start();
    return 1;
  }),
  redisFault('restarted empty at once', async ({ redis }) => {
    await redis.server().kill();
    await redis.server().start();
    return 1;
  }),
  redisFault('emptied while it runs', (world) => onRedis(world, (redis) => during(() => redis.flushall()))),
  redisFault('streams trimmed before they are read', (world) =>
    onRedis(world, (redis, { commands, events }) =>
      during(() => Promise.all([redis.xtrim(commands, 'MAXLEN', 0), redis.xtrim(events, 'MAXLEN', 0)])),
    ),
  ),
  redisFault('every command delivered twice', (world) => onRedis(world, deliverTwice)),
  redisFault('failover that loses acknowledged entries', loseEntries),
];

type Keys = ReturnType<typeof redisKeys>;

function redisFault(name: string, inject: Fault['inject']): Fault {
  return { name, group: 'Redis', parts: ['redis'], inject };
}

async function onRedis(world: World, work: (redis: Redis, keys: Keys) => Promise<number>): Promise<number> {
  const redis = new Redis(world.redis.server().url);
  try {
    return await work(redis, redisKeys(`${world.node.chainId}:${world.vault}`));
  } finally {
    redis.disconnect();
  }
}

/** Reads along with the engine, and adds each command to the stream again. */
async function deliverTwice(redis: Redis, { commands }: Keys): Promise<number> {
  const reader = redis.duplicate();
  const seen = new Set<string>();
  let last = '$';
  let times = 0;
  try {
    for (const endMs = performance.now() + FAULT_LASTS_MS; performance.now() < endMs; ) {
      const read = (await reader.xread('COUNT', 100, 'BLOCK', 200, 'STREAMS', commands, last)) ?? [];
      for (const [id, fields] of read[0]?.[1] ?? []) {
        last = id;
        const content = fields.join(' ');
        if (seen.has(content)) continue;
        seen.add(content);
        await redis.xadd(commands, '*', ...fields);
        times++;
      }
    }
  } finally {
    reader.disconnect();
  }
  return times;
}

/** A replica falls behind, then takes over: what the old server acknowledged in between is gone. */
async function loseEntries(world: World): Promise<number> {
  const old = world.redis.server();
  const successor = await startTestRedis();
  const replica = new Redis(successor.url);
  try {
    const { hostname, port } = new URL(old.url);
    await replica.replicaof(hostname, Number(port));
    await until('the replica', async () => (await replica.info('replication')).includes('master_link_status:up'));
    await replica.replicaof('NO', 'ONE');
    await sleep(FAULT_LASTS_MS);
    world.redis.replace(successor);
    await old.stop();
  } finally {
    replica.disconnect();
  }
  return 1;
}
