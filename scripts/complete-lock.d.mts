/** One package of a lock, as far as it is looked at here. */
export type LockEntry = { readonly version?: string; readonly [key: string]: unknown };

export type Lock = { readonly packages: Readonly<Record<string, LockEntry>> };

export function platformOf(name: string): { cpu?: string[]; os?: string[]; libc?: string[] };

export function completeLock(lock: Lock): {
  /** The completed copy. */
  readonly lock: Lock;
  /** `name@version` of each entry that was missing. */
  readonly added: string[];
  /** Keys of the optional entries that lost their `engines`. */
  readonly enginesDropped: string[];
  readonly resolvedDropped: number;
  /** What could not be added, its version being a range. */
  readonly notExact: string[];
};
