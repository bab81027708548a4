/**
 * Signer recovery on worker threads: signatures are what bounds the rate of orders, so they get the other cores.
 *
 * Digests are laid out here, since handing a message over costs more than hashing it. Signatures travel in groups, as one block of bytes:
 * a message between threads costs about as much as a recovery. What comes while the workers are busy gathers, and while one
 * group follows another a small one waits a moment for more; so groups grow with the load, and in quiet times nothing waits. The queue is bounded: beyond it a request is refused at once (OVERLOADED), before
 * it has cost anything. A worker that dies fails what it held and is replaced.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { ExchangeError } from '../domain/errors.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import {
  type CheckedSignature,
  type PreparedCheck,
  prepareCheck,
  recoveredAs,
  type SignedMessage,
} from './check-signature.ts';
import { createDigester, type Digester } from './digests.ts';
import { END_WORKER, packGroup, signerAt } from './signature-group.ts';

const GROUP_MAX = 64;
/** A worker that is at work is given its next group ahead only when that is so large; else it gathers until the worker is done. */
const NEXT_GROUP_MIN = 16;
/** Under load a group leaves when it has so many, or its first signature has waited so long. */
const GROUP_MIN = 16;
const GATHER_MS = 2;
/** It is quiet again when no group has left for so long. */
const QUIET_AFTER_MS = 5;

export type SignaturePoolOptions = {
  /** Threads; one fewer than the cores by default, at least one. */
  readonly workers?: number;
  /** Messages waiting or under way; 20,000 by default, about one second of two cores. */
  readonly pendingMax?: number;
};

export type SignaturePool = {
  readonly domain: Eip712Domain;
  /**
   * Digest and signer of one message.
   * @throws ExchangeError OVERLOADED when too many wait, NOT_READY when the pool is closed, INTERNAL when a worker died or the
   *   message is out of range.
   */
  readonly check: (signed: SignedMessage) => Promise<CheckedSignature>;
  /** Messages waiting or under way. */
  readonly pending: () => number;
  /** Fails what is under way and ends the threads. */
  readonly close: () => Promise<void>;
};

type Request = {
  readonly prepared: Extract<PreparedCheck, { kind: 'recover' }>;
  readonly resolve: (checked: CheckedSignature) => void;
  readonly reject: (error: ExchangeError) => void;
};
type Member = { readonly worker: Worker; readonly groups: Request[][] };

export function createSignaturePool(domain: Eip712Domain, options: SignaturePoolOptions = {}): SignaturePool {
  const pendingMax = options.pendingMax ?? 20_000;
  const digester = createDigester(domain);
  const members: Member[] = [];
  const gathering: Request[] = [];
  let flushing = false;
  /** When the first of those that gather may leave without company. */
  let dueMs = 0;
  let lastGroupMs = 0;
  let dueTimer: NodeJS.Timeout | undefined;
  let pending = 0;
  let closed = false;

  const settle = (member: Member, signers: Uint8Array): void => {
    const group = member.groups.shift() ?? [];
    pending -= group.length;
    // The next group leaves before the results of this one set off their work.
    flush();
    for (const [index, request] of group.entries()) {
      request.resolve(recoveredAs(request.prepared, signerAt(signers, index)));
    }
  };

  const failAll = (member: Member, error: ExchangeError): void => {
    for (const request of member.groups.splice(0).flat()) {
      pending -= 1;
      request.reject(error);
    }
  };

  const start = (): Member => {
    const worker = new Worker(new URL('./signature-worker.ts', import.meta.url), { name: 'signatures' });
    // The pool alone does not keep a process running; a request under way belongs to something that does.
    worker.unref();
    const member: Member = { worker, groups: [] };
    worker.on('message', (signers: Uint8Array) => settle(member, signers));
    let cause: unknown;
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', (code) => {
      failAll(member, new ExchangeError('INTERNAL', `a signature worker ended with code ${code}`, { cause }));
      const index = members.indexOf(member);
      if (closed || index === -1) return;
      members[index] = start();
      flush();
    });
    return member;
  };

  const flushDue = (): void => {
    dueTimer = undefined;
    flush();
  };

  const flush = (): void => {
    if (gathering.length === 0) return;
    const nowMs = performance.now();
    while (gathering.length > 0) {
      const member = members.reduce((least, other) => (other.groups.length < least.groups.length ? other : least));
      // Spread over all workers before filling groups: one group on one thread would leave the other cores idle.
      const size = Math.min(GROUP_MAX, Math.ceil(gathering.length / members.length));
      if (member.groups.length > 1 || (member.groups.length === 1 && size < NEXT_GROUP_MIN)) return;
      if (size < GROUP_MIN && nowMs < dueMs) {
        dueTimer ??= setTimeout(flushDue, dueMs - nowMs);
        return;
      }
      const group = gathering.splice(0, size);
      member.groups.push(group);
      lastGroupMs = nowMs;
      // Copied: to move so few bytes costs more.
      member.worker.postMessage(packGroup(group.map(({ prepared }) => prepared)));
    }
  };

  const count = Math.max(1, options.workers ?? Math.min(8, availableParallelism() - 1));
  for (let index = 0; index < count; index++) members.push(start());

  const enqueue = (prepared: Request['prepared']): Promise<CheckedSignature> =>
    new Promise((resolve, reject) => {
      pending += 1;
      if (gathering.length === 0) {
        const nowMs = performance.now();
        dueMs = nowMs - lastGroupMs > QUIET_AFTER_MS ? nowMs : nowMs + GATHER_MS;
      }
      gathering.push({ prepared, resolve, reject });
      if (flushing) return;
      flushing = true;
      setImmediate(() => {
        flushing = false;
        flush();
      });
    });

  return {
    domain,
    pending: () => pending,
    check: (signed) => {
      if (closed) return Promise.reject(new ExchangeError('NOT_READY', 'the signature pool is closed'));
      if (pending >= pendingMax) {
        return Promise.reject(new ExchangeError('OVERLOADED', `${pending} signatures wait already; retry later`));
      }
      const prepared = prepare(digester, signed);
      if (prepared instanceof ExchangeError) return Promise.reject(prepared);
      return prepared.kind === 'checked' ? Promise.resolve(prepared.checked) : enqueue(prepared);
    },
    close: async () => {
      closed = true;
      clearTimeout(dueTimer);
      const error = new ExchangeError('NOT_READY', 'the signature pool is closed');
      for (const request of gathering.splice(0)) {
        pending -= 1;
        request.reject(error);
      }
      for (const member of members) failAll(member, error);
      await Promise.all(members.map(({ worker }) => endWorker(worker)));
    },
  };
}

/** Asks it to end after the group it is at: a thread that is terminated inside native code takes the process with it. */
async function endWorker(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return;
  const exited = new Promise((resolve) => worker.once('exit', resolve));
  worker.ref();
  worker.postMessage(END_WORKER);
  await exited;
}

function prepare(digester: Digester, signed: SignedMessage): PreparedCheck | ExchangeError {
  try {
    return prepareCheck(digester, signed);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new ExchangeError('INTERNAL', `the signature could not be checked: ${reason}`, { cause });
  }
}
