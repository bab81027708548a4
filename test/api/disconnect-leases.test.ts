import assert from 'node:assert/strict';
import { DisconnectLeases } from '../../src/api/stream/disconnect-leases.ts';
import type { Address } from '../../src/domain/units.ts';
import type { CommandClient, CommandReply } from '../../src/messaging/port.ts';
import { ALICE, BOB, Exchange } from '../offchain-engine/support/exchange.ts';

const LEASE_MS = 30;

/** A gateway in front of a real engine whose clock the test moves. */
function gatewayOf(exchange: Exchange) {
  let busy = 0;
  const commands: CommandClient = {
    submit: async (command): Promise<CommandReply> => {
      if (busy > 0) {
        busy--;
        return { kind: 'overloaded', retryAfterMs: 1 };
      }
      const events = exchange.apply(command);
      return { kind: 'committed', sequence: 1 as never, timestampMs: 1 as never, events, receipt: {} as never };
    },
  };
  const leases = new DisconnectLeases({
    commands,
    clock: () => exchange.nowMs,
    commandTimeoutMs: 1_000,
    onProblem: (_, cause) => assert.fail(String(cause)),
    leaseMs: LEASE_MS,
  });
  return {
    leases,
    beBusy: (times: number) => {
      busy = times;
    },
  };
}

function funded(): Exchange {
  const exchange = new Exchange();
  for (const account of [ALICE, BOB]) {
    exchange.deposit(account, 100, 100_000);
    exchange.place({ account, side: 'buy', size: 1, price: 10 });
  }
  return exchange;
}

const live = (exchange: Exchange, account: Address): number => exchange.engine.liveOrders(account).length;

describe('leases for cancel on disconnect', () => {
  it('are renewed while a socket is there, and run out when the gateway dies', async () => {
    const exchange = funded();
    const { leases } = gatewayOf(exchange);
    await leases.arm(ALICE);
    const before = exchange.journal.length;
    while (exchange.journal.filter(({ command }) => command.kind === 'renewGateway').length < 3)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(exchange.journal.length > before);
    leases.stop();
    exchange.nowMs += LEASE_MS;
    exchange.apply({ kind: 'tick' });
    assert.deepEqual([live(exchange, ALICE), live(exchange, BOB)], [0, 1]);
  });

  it('end the orders when a socket goes, though the engine is busy at first', async () => {
    const exchange = funded();
    const { leases, beBusy } = gatewayOf(exchange);
    await leases.arm(ALICE);
    beBusy(2);
    await leases.disarm(ALICE, true);
    assert.equal(live(exchange, ALICE), 0);
    assert.equal(exchange.engine.core.gateways.size, 0);
  });

  it('stay for the other sockets of the account', async () => {
    const exchange = funded();
    const { leases } = gatewayOf(exchange);
    await leases.arm(ALICE);
    await leases.arm(ALICE);
    await leases.disarm(ALICE, true);
    assert.equal(live(exchange, ALICE), 0);
    assert.equal(exchange.engine.core.gateways.size, 1);
    await leases.disarm(ALICE, false);
    assert.equal(exchange.engine.core.gateways.size, 0);
  });

  it('leave nothing armed when a socket goes before the engine has answered, or the engine does not take it', async () => {
    const exchange = funded();
    const { leases, beBusy } = gatewayOf(exchange);
    await Promise.all([leases.arm(ALICE), leases.disarm(ALICE, true)]);
    assert.equal(exchange.engine.core.gateways.size, 0);
    beBusy(1);
    await assert.rejects(leases.arm(BOB), { code: 'OVERLOADED' });
    await leases.arm(ALICE);
    await leases.disarm(ALICE, false);
    assert.equal(live(exchange, BOB), 1);
  });

  it('are taken again after they lapsed', async () => {
    const exchange = funded();
    const { leases } = gatewayOf(exchange);
    await leases.arm(ALICE);
    exchange.nowMs += LEASE_MS;
    exchange.apply({ kind: 'tick' });
    while (exchange.engine.core.gateways.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    leases.stop();
  });
});
