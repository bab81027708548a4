/**
 * Cancel on disconnect. A gateway registers the accounts whose orders are to end with their connection, under a lease that it
 * renews; when it says that a connection is lost, or its lease runs out because it died, the accounts' orders are cancelled.
 *
 * Bounded: so many gateways and accounts each; a lease lasts five minutes at most, so that what is registered goes away.
 */
import type { Address } from '../domain/units.ts';
import { cancelWhere } from './cancels.ts';
import { cancellation } from './codes.ts';
import type { EngineState } from './state.ts';

export const GATEWAYS_MAX = 256;
export const ARMED_PER_GATEWAY_MAX = 20_000;
export const LEASE_MAX_MS = 300_000;

const DISCONNECTED = cancellation('disconnected');

export type GatewayLease = { untilMs: number; readonly accounts: Set<Address> };

/** Registers the account, and renews the gateway's lease. */
export function armDisconnect(state: EngineState, gateway: string, account: Address, leaseMs: number): void {
  const lease = state.gateways.get(gateway) ?? { untilMs: 0, accounts: new Set() };
  const isFull = !lease.accounts.has(account) && lease.accounts.size >= ARMED_PER_GATEWAY_MAX;
  if (isFull || (!state.gateways.has(gateway) && state.gateways.size >= GATEWAYS_MAX)) {
    state.sink.push({ kind: 'cancelRejected', account, reason: 'too_many_sessions' });
    return;
  }
  lease.accounts.add(account);
  state.gateways.set(gateway, lease);
  renew(state, gateway, lease, leaseMs);
}

/** The connection was switched off, or (`cancel`) is lost. */
export function disarmDisconnect(state: EngineState, gateway: string, account: Address, cancel: boolean): void {
  const lease = state.gateways.get(gateway);
  lease?.accounts.delete(account);
  if (lease?.accounts.size === 0) state.gateways.delete(gateway);
  // Also when the lease has lapsed: orders placed since then end with the connection too.
  if (cancel) cancelAccount(state, account);
}

export function renewGateway(state: EngineState, gateway: string, leaseMs: number): void {
  const lease = state.gateways.get(gateway);
  if (lease === undefined) state.sink.push({ kind: 'gatewayLease', gateway, status: 'lapsed' });
  else renew(state, gateway, lease, leaseMs);
}

/** Ends the leases that have run out by the command's time. */
export function fireLeases(state: EngineState): void {
  const due = [...state.gateways].filter(([, { untilMs }]) => untilMs <= state.nowMs);
  due.sort((a, b) => a[1].untilMs - b[1].untilMs || (a[0] < b[0] ? -1 : 1));
  for (const [gateway, { accounts }] of due) {
    state.gateways.delete(gateway);
    state.sink.push({ kind: 'gatewayLease', gateway, status: 'lapsed' });
    for (const account of [...accounts].sort()) cancelAccount(state, account);
  }
}

/** When the first lease runs out, in milliseconds; Infinity when there is none. */
export function firstLeaseEndMs({ gateways }: EngineState): number {
  let first = Number.POSITIVE_INFINITY;
  for (const { untilMs } of gateways.values()) first = Math.min(first, untilMs);
  return first;
}

function renew(state: EngineState, gateway: string, lease: GatewayLease, leaseMs: number): void {
  lease.untilMs = state.nowMs + Math.min(leaseMs, LEASE_MAX_MS);
  state.sink.push({ kind: 'gatewayLease', gateway, status: 'held' });
}

function cancelAccount(state: EngineState, address: Address): void {
  const account = state.accounts.find(address);
  if (account >= 0) cancelWhere(state, account, DISCONNECTED, () => true);
}
