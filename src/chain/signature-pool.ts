/**
 * Digest and signer recovery on worker threads: signatures are what bounds the rate of orders, so they get the other cores.
 *
 * Requests that arrive in one turn of the event loop travel in groups, since a message between threads costs about as much as a
 * recovery. The queue is bounded: beyond it a request is refused at once (OVERLOADED), before it has cost anything.
 * A worker that dies fails what it held and is replaced.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { ExchangeError } from '../domain/errors.ts';
import type { Eip712Domain } from '../domain/typed-data.ts';
import type { CheckedSignature, SignedMessage } from './check-signature.ts';
import type { WorkerResult } from './signature-worker.ts';

const GROUP_MESSAGES_MAX = 64;

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
   * @throws ExchangeError OVERLOADED when too many wait, NOT_READY when the pool is closed, INTERNAL when a worker died or the message is out of range.
   */
  readonly check: (signed: SignedMessage) => Promise<CheckedSignature>;
  /** Messages waiting or under way. */
  readonly pending: () => number;
  /** Fails what is under way and ends the threads. */
  readonly close: () => Promise<void>;
};

type Request = {
  readonly signed: SignedMessage;
  readonly resolve: (checked: CheckedSignature) => void;
  readonly reject: (error: ExchangeError) => void;
};
type Member = { readonly worker: Worker; readonly groups: Request[][]; load: number };

export function createSignaturePool(domain: Eip712Domain, options: SignaturePoolOptions = {}): SignaturePool {
  const pendingMax = options.pendingMax ?? 20_000;
  const members: Member[] = [];
  let gathering: Request[] = [];
  let pending = 0;
  let closed = false;

  const settle = (member: Member, results: readonly WorkerResult[]): void => {
    const group = member.groups.shift() ?? [];
    member.load -= group.length;
    pending -= group.length;
    group.forEach((request, index) => {
      const result = results[index];
      if (result !== undefined && 'checked' in result) request.resolve(result.checked);
      else
        request.reject(
          new ExchangeError('INTERNAL', `the signature could not be checked: ${result?.error ?? 'no result'}`),
        );
    });
  };

  const failAll = (member: Member, error: ExchangeError): void => {
    for (const request of member.groups.splice(0).flat()) {
      pending -= 1;
      request.reject(error);
    }
    member.load = 0;
  };

  const start = (): Member => {
    const worker = new Worker(new URL('./signature-worker.ts', import.meta.url), { workerData: domain });
    // The pool alone does not keep a process running; a request under way belongs to something that does.
    worker.unref();
    const member: Member = { worker, groups: [], load: 0 };
    worker.on('message', (results: readonly WorkerResult[]) => settle(member, results));
    let cause: unknown;
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', (code) => {
      failAll(member, new ExchangeError('INTERNAL', `a signature worker ended with code ${code}`, { cause }));
      const index = members.indexOf(member);
      if (!closed && index !== -1) members[index] = start();
    });
    return member;
  };

  const flush = (): void => {
    const requests = gathering;
    gathering = [];
    // Spread over all workers before filling groups: one group on one thread would leave the other cores idle.
    const size = Math.min(GROUP_MESSAGES_MAX, Math.ceil(requests.length / members.length));
    for (let at = 0; at < requests.length; at += size) {
      const group = requests.slice(at, at + size);
      const member = members.reduce((least, other) => (other.load < least.load ? other : least));
      member.groups.push(group);
      member.load += group.length;
      member.worker.postMessage(group.map((request) => request.signed));
    }
  };

  const count = Math.max(1, options.workers ?? Math.min(8, availableParallelism() - 1));
  for (let index = 0; index < count; index++) members.push(start());

  return {
    domain,
    pending: () => pending,
    check: (signed) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new ExchangeError('NOT_READY', 'the signature pool is closed'));
        if (pending >= pendingMax) {
          return reject(new ExchangeError('OVERLOADED', `${pending} signatures wait already; retry later`));
        }
        pending += 1;
        if (gathering.length === 0) setImmediate(flush);
        gathering.push({ signed, resolve, reject });
      }),
    close: async () => {
      closed = true;
      const error = new ExchangeError('NOT_READY', 'the signature pool is closed');
      for (const request of gathering.splice(0)) {
        pending -= 1;
        request.reject(error);
      }
      await Promise.all(members.map((member) => member.worker.terminate()));
    },
  };
}
