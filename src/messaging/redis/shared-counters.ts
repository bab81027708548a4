/** Counters in Redis: one hash per counter, one round trip per exchange. */
import type { SharedCounters, Stop } from '../port.ts';
import { connectForCalls, type RedisOptions } from './connection.ts';

/** A Redis that holds the connection and says nothing is away, too. */
const ANSWER_TIMEOUT_MS = 2_000;

/** Connects in the background; until then, and whenever Redis is away, `add` fails at once, or after two seconds without an answer. */
export function createRedisCounters(options: RedisOptions): SharedCounters & { readonly close: Stop } {
  const redis = connectForCalls(options, ANSWER_TIMEOUT_MS);
  return {
    add: async (counter, added, keptMs) => {
      const key = `{${options.namespace}}:${counter}`;
      const calls = redis.pipeline();
      for (const { field, by } of added) calls.hincrby(key, field, by);
      calls.pexpire(key, keptMs);
      const answers = (await calls.exec()) ?? [];
      return added.map((_, index) => {
        const [error, total] = answers[index] ?? [new Error('Redis gave no answer')];
        if (error !== null) throw error;
        return Number(total);
      });
    },
    close: async () => redis.disconnect(),
  };
}
