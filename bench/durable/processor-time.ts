/**
 * Where processor time goes: what each thread of the client, the server and PostgreSQL ran since its start, by the kernel's own account
 * (Linux; elsewhere nothing is known). Time on a processor does not depend on what else the machine does, as rates do.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Microseconds by process or thread, with the part it belongs to: "client", "server: MainThread", "PostgreSQL: connections", … */
export type ProcessorTime = ReadonlyMap<string, { readonly part: string; readonly us: number }>;

export type Watched = { readonly clientPid: number; readonly serverPid: number; readonly postmasterPid: number };

export function readProcessorTime({ clientPid, serverPid, postmasterPid }: Watched): ProcessorTime {
  const time = new Map<string, { part: string; us: number }>();
  const add = (pid: number, part: (thread: string) => string): void => {
    for (const { id, name, us } of threadsOf(pid)) time.set(`${pid}/${id}`, { part: part(name), us });
  };
  add(clientPid, () => 'client');
  add(serverPid, (thread) => `server: ${thread}`);
  for (const pid of childrenOf(postmasterPid)) add(pid, () => `PostgreSQL: ${titleOf(pid)}`);
  return time;
}

/** Microseconds per order spent between two readings, the largest first; parts below a tenth of a microsecond are left out. */
export function perOrder(before: ProcessorTime, after: ProcessorTime, orders: number): Record<string, number> {
  // Thread by thread: a connection that was closed in between takes nothing away from the others.
  const sums = new Map<string, number>();
  for (const [thread, { part, us }] of after) {
    sums.set(part, (sums.get(part) ?? 0) + (us - (before.get(thread)?.us ?? 0)) / orders);
  }
  const spent = [...sums].filter(([, us]) => us >= 0.1).sort((a, b) => b[1] - a[1]);
  return Object.fromEntries(spent.map(([part, us]) => [part, Math.round(us * 10) / 10]));
}

function threadsOf(pid: number): { id: string; name: string; us: number }[] {
  return entries(`/proc/${pid}/task`).flatMap((thread) => {
    const name = read(`/proc/${pid}/task/${thread}/comm`);
    const ns = read(`/proc/${pid}/task/${thread}/schedstat`)?.split(' ')[0];
    return name === undefined || ns === undefined ? [] : [{ id: thread, name: name.trim(), us: Number(ns) / 1_000 }];
  });
}

function childrenOf(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`);
  return children === undefined ? [] : children.trim().split(' ').filter(Boolean).map(Number);
}

/** What a server process of PostgreSQL does, as it says in its title: "walwriter", "tallystick bench-engine …". */
function titleOf(pid: number): string {
  const title = read(`/proc/${pid}/cmdline`)?.split('\0')[0] ?? '';
  const work = title.replace(/^postgres: /, '');
  return /\d+\.\d+\.\d+\.\d+|\[local\]/.test(work) ? 'connections' : work.trim();
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Undefined where there is no such file: another system, or a thread that has just ended. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
