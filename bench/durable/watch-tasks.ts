/**
 * The longest time this thread computed between two looks of the event loop at its sockets: an upper bound of its longest task,
 * in processor time, so that a busy machine does not count as a long task.
 *
 * @returns the longest since the call before, in milliseconds
 */
export function watchTasks(): () => number {
  let longestUs = 0;
  let beforeUs = threadCpuUs();
  const look = (): void => {
    const nowUs = threadCpuUs();
    longestUs = Math.max(longestUs, nowUs - beforeUs);
    beforeUs = nowUs;
    // Without a reference it runs once per turn of the loop, and does not keep an idle loop turning.
    setImmediate(look).unref();
  };
  look();
  return () => {
    const longestMs = longestUs / 1_000;
    longestUs = 0;
    return longestMs;
  };
}

function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
