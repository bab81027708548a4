/** A service as a process of its own under a supervisor, which starts it again whenever it ends, as production does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { whenThisProcessDies } from '../../src/services/parent-watch.ts';

const RUN = fileURLToPath(new URL('../../src/services/run.ts', import.meta.url));
const LOG_CHARACTERS_MAX = 400_000;
const RESTART_AFTER_MS = 300;

export type Supervised = {
  readonly pid: () => number;
  /** Everything that it and its predecessors logged, as far as it is kept. */
  readonly log: () => string;
  /** Marks this moment. @returns what has been logged since, as far as it is kept */
  readonly logFromNow: () => () => string;
  /** How often it was started. */
  readonly starts: () => number;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** SIGKILL; resolves once the process is gone. The supervisor starts another. */
  readonly kill: () => Promise<void>;
  /** SIGKILL, and stays down until `up`. */
  readonly down: () => Promise<void>;
  readonly up: () => void;
};

/** @param service its name in `src/services/run.ts` */
export function superviseService(service: string, environment: Readonly<Record<string, string>>): Supervised {
  let log = '';
  /** Characters logged so far, those no longer kept included. */
  let logged = 0;
  let starts = 0;
  let wanted = true;
  let child: ChildProcess;

  const start = (): void => {
    starts++;
    const started = spawn(process.execPath, [RUN, service], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child = started;
    const endWatch = whenThisProcessDies('kill -KILL "$1"', [String(started.pid)]);
    started.stderr.on('data', (chunk: Buffer) => {
      const text = chunk.toString();
      logged += text.length;
      log = (log + text).slice(-LOG_CHARACTERS_MAX);
    });
    started.once('exit', () => {
      endWatch();
      setTimeout(() => {
        if (wanted && child === started) start();
      }, RESTART_AFTER_MS);
    });
  };
  const kill = async (): Promise<void> => {
    const dying = child;
    if (dying.exitCode !== null || dying.signalCode !== null) return;
    const ended = once(dying, 'exit');
    // A stopped process dies of this too.
    dying.kill('SIGKILL');
    await ended;
  };
  start();
  return {
    pid: () => child.pid ?? 0,
    log: () => log,
    logFromNow: () => {
      const mark = logged;
      return () => log.slice(Math.max(0, log.length - (logged - mark)));
    },
    starts: () => starts,
    signal: (signal) => {
      child.kill(signal);
    },
    kill,
    down: async () => {
      wanted = false;
      await kill();
    },
    up: () => {
      if (wanted) return;
      wanted = true;
      start();
    },
  };
}
