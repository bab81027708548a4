import { spawn } from 'node:child_process';

/**
 * Runs a shell command when this process ends without having said so, by SIGKILL too.
 *
 * A small shell reads a pipe that only this process holds open: the operating system closes it when the process dies, however it dies.
 * So a child that would outlive us (a local node, a temporary database) is stopped without polling and without a process id being mistaken.
 * Windows has no such shell: there nothing is watched, and a killed process leaves its children behind.
 *
 * @param command run by `sh -c`; `$1`, `$2` … are `args`, so nothing needs quoting
 * @returns ends the watch; the command is not run
 */
export function whenThisProcessDies(command: string, args: readonly string[]): () => void {
  if (process.platform === 'win32') return () => undefined;
  // Detached: a Ctrl-C in the terminal reaches the whole foreground group, and the watch must outlive it.
  const watch = spawn('/bin/sh', ['-c', `cat >/dev/null; ${command}`, 'sh', ...args], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watch.unref();
  // The pipe must not keep this process running either; streams of child processes are sockets, which can be unreferenced.
  (watch.stdin as typeof watch.stdin & { unref?: () => void }).unref?.();
  watch.stdin.on('error', () => undefined);
  watch.on('error', () => undefined);
  return () => {
    watch.kill('SIGKILL');
  };
}
