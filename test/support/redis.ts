import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../scripts/find-program.ts';
import { findFreePort } from '../../src/services/free-port.ts';
import { whenThisProcessDies } from '../../src/services/parent-watch.ts';

const START_TIMEOUT_MS = 10_000;

export type TestRedis = {
  readonly url: string;
  readonly pid: number;
  /** Ends it by SIGKILL, as a crash would; `start` brings it back on the same port, empty. */
  readonly kill: () => Promise<void>;
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/**
 * Starts a Redis server of its own, without persistence.
 *
 * @throws Error when the machine has no `redis-server`; the message says how to get one
 */
export async function startTestRedis(): Promise<TestRedis> {
  const program = findProgram('redis-server');
  if (program === undefined) {
    throw new Error(
      'redis-server was not found. Install it ("apt-get install redis-server"), or name it in REDIS_SERVER.',
    );
  }
  const directory = await mkdtemp(join(tmpdir(), 'tallystick-redis-'));
  const port = await findFreePort();
  let child: ChildProcess | undefined;
  let endWatch: () => void = () => undefined;

  const start = async (): Promise<void> => {
    const flags = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
    child = spawn(program, [...flags, '--loglevel', 'warning'], { stdio: 'ignore', detached: true });
    endWatch = whenThisProcessDies('kill -KILL "$1"; rm -rf "$2"', [`${child.pid}`, directory]);
    await waitUntilItListens(port, child);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    endWatch();
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((wake) => child?.once('exit', wake));
    child.kill(signal);
    await ended;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      if (child?.pid === undefined) throw new Error('redis-server does not run');
      return child.pid;
    },
    kill: () => end('SIGKILL'),
    start,
    stop: async () => {
      await end('SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function waitUntilItListens(port: number, child: ChildProcess): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadlineMs && child.exitCode === null) {
    const listens = await new Promise<boolean>((answer) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        answer(true);
      });
      socket.on('error', () => answer(false));
    });
    if (listens) return;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  throw new Error(`redis-server did not listen on port ${port} (exit code ${child.exitCode ?? 'none yet'})`);
}

/** A Redis server of its own for the tests of the enclosing `describe`. */
export function useTestRedis(): { readonly redis: () => TestRedis } {
  let redis: TestRedis | undefined;
  before(async () => {
    redis = await startTestRedis();
  });
  after(async () => {
    await redis?.stop();
  });
  return {
    redis: () => {
      if (redis === undefined) throw new Error('the server exists only while tests run');
      return redis;
    },
  };
}
