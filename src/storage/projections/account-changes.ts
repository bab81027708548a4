/** What a run of commands does to balances, deposits, exits and session keys. */
import type { EngineEvent } from '../../domain/events.ts';
import type { Address, ChainEventSequence } from '../../domain/units.ts';
import { bytea, type Moment } from './sql-values.ts';

type BalanceEvent = Extract<EngineEvent, { kind: 'balanceChanged' }>;
type DepositEvent = Extract<EngineEvent, { kind: 'depositCredited' }>;
type VolumeEvent = Extract<EngineEvent, { kind: 'volumeCounted' }>;
type ExitEvent = Extract<EngineEvent, { kind: 'exitChanged' }>;

/**
 * The last figures of the run. When `settled` last changed must not depend on where runs are cut: so the last change within the
 * run is kept, and for a run that began with its final figure the event at which it began, in case the table has another one.
 */
export type BalanceUpsert = {
  account: string;
  asset: number;
  available: number;
  locked: number;
  pending_withdrawal: number;
  unsettled_in: number;
  unsettled_out: number;
  settled: number;
  first_seen_at: number;
  /** Null when `settled` stayed at its first figure all through the run. */
  last_changed_at: number | null;
  journal_sequence: number;
};

export type DepositInsert = {
  event_sequence: number;
  account: string;
  asset: number;
  amount: number;
  journal_sequence: number;
  created_at_ms: number;
};

export type ExitUpsert = {
  account: string;
  asset: number;
  status: string;
  amount: number;
  journal_sequence: number;
  updated_at_ms: number;
};

export type VolumeUpsert = { account: string; asset: number; day: number; volume: number };

export type SessionKeyUpsert = { account: string; key: string; valid_until: number; market_mask: string };

export class AccountChanges {
  readonly balances = new Map<string, BalanceUpsert>();
  readonly deposits: DepositInsert[] = [];
  readonly exits = new Map<string, ExitUpsert>();
  readonly volumes = new Map<string, VolumeUpsert>();
  readonly sessionKeys = new Map<string, SessionKeyUpsert>();
  /** Keys that were registered in an earlier run. */
  readonly revokedKeys = new Map<string, Pick<SessionKeyUpsert, 'account' | 'key' | 'valid_until'>>();

  /** @param chainEvent the last vault event applied, this command's own included */
  balance(event: BalanceEvent, chainEvent: ChainEventSequence, moment: Moment): void {
    const key = `${event.account}:${event.asset}`;
    const before = this.balances.get(key);
    const changed = before !== undefined && before.settled !== event.settled;
    this.balances.set(key, {
      account: bytea(event.account),
      asset: event.asset,
      available: event.available,
      locked: event.locked,
      pending_withdrawal: event.pendingWithdrawal,
      unsettled_in: event.unsettledIn,
      unsettled_out: event.unsettledOut,
      settled: event.settled,
      first_seen_at: before?.first_seen_at ?? chainEvent,
      last_changed_at: changed ? chainEvent : (before?.last_changed_at ?? null),
      journal_sequence: moment.sequence,
    });
  }

  deposit(event: DepositEvent, moment: Moment): void {
    this.deposits.push({
      event_sequence: event.eventSequence,
      account: bytea(event.account),
      asset: event.asset,
      amount: event.amount,
      journal_sequence: moment.sequence,
      created_at_ms: moment.timestampMs,
    });
  }

  /** The event has the day's whole volume so far. */
  volume({ account, asset, day, volume }: VolumeEvent): void {
    this.volumes.set(`${account}:${asset}:${day}`, { account: bytea(account), asset, day, volume });
  }

  exit(event: ExitEvent, moment: Moment): void {
    this.exits.set(`${event.account}:${event.asset}`, {
      account: bytea(event.account),
      asset: event.asset,
      status: event.status,
      amount: event.status === 'executed' ? event.amount : 0,
      journal_sequence: moment.sequence,
      updated_at_ms: moment.timestampMs,
    });
  }

  sessionKeyRegistered(account: Address, key: Address, validUntil: number, marketMask: bigint): void {
    const name = `${account}:${key}`;
    this.revokedKeys.delete(name);
    const market_mask = marketMask.toString();
    this.sessionKeys.set(name, { account: bytea(account), key: bytea(key), valid_until: validUntil, market_mask });
  }

  sessionKeyRevoked(account: Address, key: Address, validUntil: number): void {
    const name = `${account}:${key}`;
    const registered = this.sessionKeys.get(name);
    if (registered === undefined) {
      this.revokedKeys.set(name, { account: bytea(account), key: bytea(key), valid_until: validUntil });
    } else {
      registered.valid_until = validUntil;
    }
  }
}
