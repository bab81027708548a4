import { readFile } from 'node:fs/promises';

/**
 * Whether a process runs that was started with this argument (a file or directory of ours): a process id alone, read from a file that a
 * crash left behind, may belong to something else by now. A process that has ended and only waits to be reaped does not count.
 *
 * Looks into /proc; on systems without one, any living process counts.
 */
export async function runsWithArgument(pid: number, argument: string): Promise<boolean> {
  if (process.platform === 'linux') {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return commandLine.split('\0').includes(argument);
  }
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
