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

export type DisconnectLeasesOptions = {
  readonly commands: CommandClient;
  readonly clock: () => number;
  readonly commandTimeoutMs: number;
  readonly onProblem: (message: string, cause: unknown) => void;
  readonly leaseMs?: number;
};

export class DisconnectLeases {
  readonly #options: DisconnectLeasesOptions;
  readonly #leaseMs: number;
  /** Names this process's leases; a gateway that starts again has another. */
  readonly #gateway = randomUUID();
  /** Sockets that asked for it, by account. */
  readonly #sockets = new Map<Address, number>();
  #renewal: NodeJS.Timeout | undefined;

  constructor(options: DisconnectLeasesOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? GATEWAY_LEASE_MS;
  }

  /** One more socket of the account asks for it. @throws ProblemError OVERLOADED or STATUS_UNKNOWN; then nothing is armed */
  async arm(account: Address): Promise<void> {
    // Counted before the engine answers: the socket may go meanwhile.
    this.#sockets.set(account, (this.#sockets.get(account) ?? 0) + 1);
    try {
      await this.#armAccount(account);
    } catch (error) {
      this.#release(account);
      throw error;
    }
    if (this.#sockets.size > 0)
      this.#renewal ??= setInterval(() => void this.#renew(), this.#leaseMs / RENEWALS_PER_LEASE).unref();
  }

  /** A socket of the account switched it off, or (`cancel`) is gone: then the account's orders end. */
  async disarm(account: Address, cancel: boolean): Promise<void> {
    const left = this.#release(account);
    if (left > 0 && !cancel) return;
    await this.#disarmAccount(account, cancel);
    if (left > 0) await this.#armAccount(account);
  }

  /** Renews no more; what is armed runs out. */
  stop(): void {
    clearInterval(this.#renewal);
    this.#renewal = undefined;
  }

  /** One socket fewer. @returns how many the account has left */
  #release(account: Address): number {
    const left = (this.#sockets.get(account) ?? 1) - 1;
    if (left > 0) this.#sockets.set(account, left);
    else this.#sockets.delete(account);
    if (this.#sockets.size === 0) this.stop();
    return left;
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

  /** Tried again when the engine is busy: nobody else will say it, short of the lease running out. */
  async #disarmAccount(account: Address, cancel: boolean): Promise<void> {
    const command: UserCommand = { kind: 'disarmDisconnect', gateway: this.#gateway, account, cancel };
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#submit(command);
        return;
      } catch (error) {
        if (attempt === DISARM_ATTEMPTS) throw error;
      }
    }
  }

  async #renew(): Promise<void> {
    try {
      const command: UserCommand = { kind: 'renewGateway', gateway: this.#gateway, leaseMs: this.#leaseMs };
      const { events } = await this.#submit(command);
      const lapsed = events.some(
        (event) => event.kind === 'gatewayLease' && event.gateway === this.#gateway && event.status === 'lapsed',
      );
      // Their orders were cancelled; what they place from now on is to be covered again.
      if (lapsed) for (const account of this.#sockets.keys()) await this.#armAccount(account);
    } catch (cause) {
      this.#options.onProblem('the lease for cancel-on-disconnect could not be renewed', cause);
    }
  }

  async #submit(command: UserCommand): Promise<Committed> {
    const { commands, clock, commandTimeoutMs } = this.#options;
    const reply: CommandReply = await commands.submit(command, {
      notAfterMs: (clock() + commandTimeoutMs) as TimestampMs,
    });
    return committedOf(reply, 'Sending it again does no harm.');
  }
}
