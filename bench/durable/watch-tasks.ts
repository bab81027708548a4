/**
 * The longest task of this thread, in processor time, so that a busy machine does not count as a long task. A task is what the
 * event loop calls once (a socket's data, a message, a timer) with everything that follows before the next call: microtasks, ticks,
 * and the garbage collector's part on this thread.
 *
 * Watching costs every callback some microseconds, so nothing is to be timed meanwhile.
 */
import { createHook } from 'node:async_hooks';

export type TaskWatch = {
  readonly start: () => void;
  /** @returns the longest task since `start`, in milliseconds */
  readonly stop: () => number;
};

export function createTaskWatch(): TaskWatch {
  const ticks = new Set<number>();
  let depth = 0;
  let beganUs = 0;
  let longestUs = 0;
  const end = (): void => {
    const nowUs = threadCpuUs();
    longestUs = Math.max(longestUs, nowUs - beganUs);
    beganUs = nowUs;
  };
  const hook = createHook({
    trackPromises: false,
    init: (id, type) => {
      if (type === 'TickObject') ticks.add(id);
    },
    before: (id) => {
      // A tick belongs to the task before it, and so does what is called within a task.
      if (!ticks.delete(id) && depth === 0) end();
      depth++;
    },
    after: () => {
      // The first one may end a call that began unwatched.
      depth = Math.max(0, depth - 1);
    },
  });
  return {
    start: () => {
      depth = 0;
      longestUs = 0;
      beganUs = threadCpuUs();
      hook.enable();
    },
    stop: () => {
      hook.disable();
      end();
      return longestUs / 1_000;
    },
  };
}

function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
