/**
 * Cancel on disconnect that outlives this gateway: the engine knows the accounts whose sockets asked for it, under a lease that is renewed
 * while any socket does. A gateway that dies lets it run out, and the engine cancels.
 *
 * An account's orders end when one of its sockets that asked for it goes, as that socket was promised; the account stays armed for
 * the others.
 */
import { randomUUID } from 'node:crypto';
import type { UserCommand } from '../../domain/commands.ts';
import type { Address, TimestampMs } from '../../domain/units.ts';
import type { CommandClient, CommandReply } from '../../messaging/port.ts';
import { ProblemError } from '../problem.ts';
import { type Committed, committedOf } from '../trading/engine-reply.ts';

/** After so long without a sign of life the engine takes a gateway for dead, in milliseconds. */
export const GATEWAY_LEASE_MS = 15_000;
const RENEWALS_PER_LEASE = 3;
const DISARM_ATTEMPTS = 3;
const OWED_MAX = 20_000;

export type DisconnectLeasesOptions = {
  readonly commands: CommandClient;
  readonly clock: () => number;
  readonly commandTimeoutMs: number;
  readonly onProblem: (message: string, cause: unknown) => void;
  readonly leaseMs?: number;
};

/** What the engine has not heard of an account yet: to arm it, to disarm it, or to cancel its orders too. */
type Owed = 'arm' | 'disarm' | 'cancel';

export class DisconnectLeases {
  readonly #options: DisconnectLeasesOptions;
  readonly #leaseMs: number;
  /** Names this process's leases; a gateway that starts again has another. */
  readonly #gateway = randomUUID();
  /** Sockets that asked for it, by account. */
  readonly #sockets = new Map<Address, Set<object>>();
  /** Said with every renewal until the engine has heard it; while there are OWED_MAX, no other account is armed. */
  readonly #owed = new Map<Address, Owed>();
  #renewal: NodeJS.Timeout | undefined;

  constructor(options: DisconnectLeasesOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? GATEWAY_LEASE_MS;
  }

  /** One more socket of the account asks for it. @throws ProblemError OVERLOADED or STATUS_UNKNOWN; then the socket has no promise */
  async arm(account: Address, socket: object): Promise<void> {
    if (this.#owed.size >= OWED_MAX)
      throw new ProblemError('OVERLOADED', 'The engine has not heard of too many accounts; try again later.');
    // Noted before the engine answers: the socket may go meanwhile.
    this.#sockets.set(account, (this.#sockets.get(account) ?? new Set()).add(socket));
    this.#keepRenewing();
    try {
      await this.#pay(account, this.#owed.get(account) ?? 'arm');
    } catch (error) {
      const isLast = this.#release(account, socket) === 0;
      // It may be armed all the same, and nobody else would say that it is not to be.
      if (isLast && !(error instanceof ProblemError && error.code === 'OVERLOADED')) this.#owe(account, 'disarm');
      throw error;
    }
  }

  /**
   * A socket of the account switched it off, or (`cancel`) is gone: then the account's orders end. An engine that does not answer is told
   * again with every renewal, so this never rejects.
   */
  async disarm(account: Address, socket: object, cancel: boolean): Promise<void> {
    const left = this.#release(account, socket);
    if (left > 0 && !cancel) return;
    this.#keepRenewing();
    for (let attempt = 1; attempt <= DISARM_ATTEMPTS; attempt++) {
      try {
        await this.#pay(account, cancel ? 'cancel' : (this.#owed.get(account) ?? 'disarm'));
        return;
      } catch (cause) {
        if (attempt === DISARM_ATTEMPTS)
          this.#options.onProblem('cancel-on-disconnect waits for the engine, and is said again', cause);
      }
    }
  }

  /** Renews no more; what is armed runs out. */
  stop(): void {
    clearInterval(this.#renewal);
    this.#renewal = undefined;
  }

  #keepRenewing(): void {
    this.#renewal ??= setInterval(() => void this.#renew(), this.#leaseMs / RENEWALS_PER_LEASE).unref();
  }

  /** One socket fewer, unless it is gone already. @returns how many the account has left */
  #release(account: Address, socket: object): number {
    const sockets = this.#sockets.get(account);
    sockets?.delete(socket);
    if (sockets?.size === 0) this.#sockets.delete(account);
    return sockets?.size ?? 0;
  }

  /** Tells the engine of the account; what it does not hear stays owed. */
  async #pay(account: Address, owed: Owed): Promise<void> {
    this.#owed.delete(account);
    let rest = owed;
    try {
      if (rest !== 'arm') {
        const cancel = rest === 'cancel';
        await this.#submit({ kind: 'disarmDisconnect', gateway: this.#gateway, account, cancel });
        rest = 'arm';
      }
      // For the sockets that it has by now: one may have come while another went.
      if (this.#sockets.has(account)) await this.#armAccount(account);
    } catch (error) {
      this.#owe(account, rest);
      throw error;
    }
  }

  /** Last in the line, so that one account does not keep others waiting; to cancel includes to disarm, and that to arm for who is left. */
  #owe(account: Address, owed: Owed): void {
    const more = [this.#owed.get(account), owed];
    this.#owed.delete(account);
    this.#owed.set(account, more.includes('cancel') ? 'cancel' : more.includes('disarm') ? 'disarm' : 'arm');
  }

  async #armAccount(account: Address): Promise<void> {
    const { events } = await this.#submit({
      kind: 'armDisconnect',
      gateway: this.#gateway,
      account,
      leaseMs: this.#leaseMs,
    });
    if (events.some((event) => event.kind === 'cancelRejected' && event.account === account))
      throw new ProblemError('OVERLOADED', 'Too many accounts have cancel-on-disconnect here; try another gateway.');
  }

  async #renew(): Promise<void> {
    if (this.#sockets.size === 0 && this.#owed.size === 0) {
      this.stop();
      return;
    }
    try {
      if (this.#sockets.size > 0) await this.#renewLease();
      for (const [account, owed] of [...this.#owed]) await this.#pay(account, owed);
    } catch (cause) {
      this.#options.onProblem('the lease for cancel-on-disconnect could not be renewed', cause);
    }
  }

  async #renewLease(): Promise<void> {
    const command: UserCommand = { kind: 'renewGateway', gateway: this.#gateway, leaseMs: this.#leaseMs };
    const { events } = await this.#submit(command);
    const lapsed = events.some(
      (event) => event.kind === 'gatewayLease' && event.gateway === this.#gateway && event.status === 'lapsed',
    );
    if (!lapsed) return;
    // Their orders were cancelled; what they place from now on is to be covered again.
    for (const account of this.#sockets.keys()) this.#owe(account, 'arm');
  }

  async #submit(command: UserCommand): Promise<Committed> {
    const { commands, clock, commandTimeoutMs } = this.#options;
    const reply: CommandReply = await commands.submit(command, {
      notAfterMs: (clock() + commandTimeoutMs) as TimestampMs,
    });
    return committedOf(reply, 'Sending it again does no harm.');
  }
}
