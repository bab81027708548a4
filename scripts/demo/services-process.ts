/** The exchange's services as a child process that can be killed: the demo's clients, database and node go on without it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('../../src/services/start.ts', import.meta.url));
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

export type ServicesProcess = {
  /** Starts it, or starts it again; resolves when it says that it is ready. */
  start(): Promise<void>;
  /** SIGKILL: nothing is finished, nothing is said. */
  kill(): Promise<void>;
  /** SIGTERM, and waits. @throws Error when it does not end cleanly */
  stop(): Promise<void>;
};

/** @param environment the settings of src/services/config.ts */
export function createServicesProcess(environment: Readonly<Record<string, string>>): ServicesProcess {
  let child: ChildProcess | undefined;
  let printed = '';
  let complaints = '';

  const exited = (process: ChildProcess): Promise<number | null> =>
    process.exitCode !== null || process.signalCode !== null
      ? Promise.resolve(process.exitCode)
      : new Promise((resolve) => process.once('exit', (code) => resolve(code)));

  return {
    async start() {
      printed = '';
      complaints = '';
      const started = spawn(process.execPath, [ENTRY], {
        env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child = started;
      const ready = Promise.withResolvers<void>();
      started.stdout.on('data', (chunk: Buffer) => {
        printed = (printed + chunk.toString('utf8')).slice(-10_000);
        if (printed.includes('\nReady.')) ready.resolve();
      });
      started.stderr.on('data', (chunk: Buffer) => {
        complaints = (complaints + chunk.toString('utf8')).slice(-10_000);
      });
      void exited(started).then((code) =>
        ready.reject(new Error(`the services ended with ${code}:\n${printed}\n${complaints}`)),
      );
      const timer = setTimeout(
        () =>
          ready.reject(
            new Error(`the services were not ready within ${START_TIMEOUT_MS} ms:\n${printed}\n${complaints}`),
          ),
        START_TIMEOUT_MS,
      );
      await ready.promise.finally(() => clearTimeout(timer));
    },
    async kill() {
      if (child === undefined) return;
      child.kill('SIGKILL');
      await exited(child);
    },
    async stop() {
      if (child === undefined) return;
      const stopping = child;
      child = undefined;
      if (stopping.exitCode !== null || stopping.signalCode !== null) return;
      stopping.kill('SIGTERM');
      const deadline = setTimeout(() => stopping.kill('SIGKILL'), STOP_TIMEOUT_MS);
      const code = await exited(stopping);
      clearTimeout(deadline);
      if (code !== 0) throw new Error(`the services did not stop cleanly (${code ?? 'killed'}):\n${complaints}`);
    },
  };
}
