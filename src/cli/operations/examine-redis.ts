import { Redis } from 'ioredis';
import { redact } from './config-check.ts';
import type { Finding } from './doctor.ts';
import type { Settings } from './environment.ts';

const VERSION_MIN = 6;
const TIMEOUT_MS = 5_000;

export async function examineRedis(settings: Settings): Promise<Finding[]> {
  const name = 'Redis';
  const url = settings.REDIS_URL;
  if (url === undefined) {
    return [{ name, state: 'skipped', found: 'REDIS_URL is not set: needed only with a process for each service' }];
  }
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  // The command that fails says only that there is no connection; this says why.
  let cause: unknown;
  redis.on('error', (error) => {
    cause ??= error;
  });
  try {
    await redis.connect();
    const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown';
    const policy = /maxmemory_policy:(\S+)/.exec(await redis.info('memory'))?.[1] ?? 'noeviction';
    const findings: Finding[] = [];
    if (Number(version.split('.')[0]) < VERSION_MIN) {
      findings.push({
        name,
        state: 'failed',
        found: `version ${version} is too old`,
        remedy: `Use ${VERSION_MIN} or newer.`,
      });
    } else findings.push({ name, state: 'ok', found: `version ${version} at ${redact('REDIS_URL', url)}` });
    if (policy !== 'noeviction') {
      const remedy = 'Set maxmemory-policy to noeviction: streams of commands must not be evicted.';
      findings.push({ name: 'Redis memory', state: 'warning', found: `maxmemory-policy is ${policy}`, remedy });
    }
    return findings;
  } catch (error) {
    const reason = cause ?? error;
    const found = `${redact('REDIS_URL', url)}: ${reason instanceof Error ? reason.message : String(reason)}`;
    return [{ name, state: 'failed', found, remedy: 'Start Redis, or correct REDIS_URL.' }];
  } finally {
    redis.disconnect();
  }
}
