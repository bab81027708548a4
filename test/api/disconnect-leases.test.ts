import assert from 'node:assert/strict';
import { DisconnectLeases } from '../../src/api/stream/disconnect-leases.ts';
import type { Address } from '../../src/domain/units.ts';
import type { CommandClient, CommandReply } from '../../src/messaging/port.ts';
import { ALICE, BOB, Exchange } from '../offchain-engine/support/exchange.ts';

const LEASE_MS = 30;

/** A gateway in front of a real engine whose clock the test moves. */
function gatewayOf(exchange: Exchange, problems?: unknown[]) {
  let busy = 0;
  let refused: string | undefined;
  let silent = 0;
  const commands: CommandClient = {
    submit: async (command): Promise<CommandReply> => {
      if (busy > 0 && (refused ?? command.kind) === command.kind) {
        busy--;
        return { kind: 'overloaded', retryAfterMs: 1 };
      }
      const events = exchange.apply(command);
      if (silent > 0) {
        silent--;
        return { kind: 'unknown' };
      }
      return { kind: 'committed', sequence: 1 as never, timestampMs: 1 as never, events, receipt: {} as never };
    },
  };
  const leases = new DisconnectLeases({
    commands,
    clock: () => exchange.nowMs,
    commandTimeoutMs: 1_000,
    onProblem: (_, cause) => (problems === undefined ? assert.fail(String(cause)) : problems.push(cause)),
    leaseMs: LEASE_MS,
  });
  return {
    leases,
    beBusy: (times: number, kind?: string) => {
      busy = times;
      refused = kind;
    },
    /** It executes and does not answer. */
    beSilent: (times: number) => {
      silent = times;
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

const SOCKET = { name: 'one' };
const OTHER = { name: 'other' };

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
};

const armed = (exchange: Exchange): Address[] =>
  [...exchange.engine.core.gateways.values()].flatMap(({ accounts }) => [...accounts]);

const live = (exchange: Exchange, account: Address): number => exchange.engine.liveOrders(account).length;

describe('leases for cancel on disconnect', () => {
  it('are renewed while a socket is there, and run out when the gateway dies', async () => {
    const exchange = funded();
    const { leases } = gatewayOf(exchange);
    await leases.arm(ALICE, SOCKET);
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
    await leases.arm(ALICE, SOCKET);
    beBusy(2);
    await leases.disarm(ALICE, SOCKET, true);
    assert.equal(live(exchange, ALICE), 0);
    assert.equal(exchange.engine.core.gateways.size, 0);
  });

  it('stay for the other sockets of the account', async () => {
    const exchange = funded();
    const { leases } = gatewayOf(exchange);
    await leases.arm(ALICE, SOCKET);
    await leases.arm(ALICE, OTHER);
    await leases.disarm(ALICE, SOCKET, true);
    assert.equal(live(exchange, ALICE), 0);
    assert.equal(exchange.engine.core.gateways.size, 1);
    await leases.disarm(ALICE, OTHER, false);
    assert.equal(exchange.engine.core.gateways.size, 0);
  });

  it('leave nothing armed when a socket goes before the engine has answered, or the engine does not take it', async () => {
    const exchange = funded();
    const { leases, beBusy } = gatewayOf(exchange);
    await Promise.all([leases.arm(ALICE, SOCKET), leases.disarm(ALICE, SOCKET, true)]);
    assert.equal(exchange.engine.core.gateways.size, 0);
    beBusy(1);
    await assert.rejects(leases.arm(BOB, SOCKET), { code: 'OVERLOADED' });
    await leases.arm(ALICE, SOCKET);
    await leases.disarm(ALICE, SOCKET, false);
    assert.equal(live(exchange, BOB), 1);
  });

  it('are taken again after they lapsed', async () => {
    const exchange = funded();
    const { leases } = gatewayOf(exchange);
    await leases.arm(ALICE, SOCKET);
    exchange.nowMs += LEASE_MS;
    exchange.apply({ kind: 'tick' });
    await until(() => exchange.engine.core.gateways.size > 0);
    leases.stop();
  });

  it('are taken again for every account, though the engine is busy in between', async () => {
    const exchange = funded();
    const problems: unknown[] = [];
    const { leases, beBusy } = gatewayOf(exchange, problems);
    for (const account of [ALICE, BOB]) await leases.arm(account, SOCKET);
    exchange.nowMs += LEASE_MS;
    exchange.apply({ kind: 'tick' });
    beBusy(1, 'armDisconnect');
    await until(() => armed(exchange).length === 2);
    assert.equal(problems.length, 1);
    leases.stop();
  });

  it('end the orders of a socket that went while the engine was away for long', async () => {
    const exchange = funded();
    const problems: unknown[] = [];
    const { leases, beBusy } = gatewayOf(exchange, problems);
    await leases.arm(ALICE, SOCKET);
    await leases.arm(BOB, SOCKET);
    beBusy(5);
    await leases.disarm(ALICE, SOCKET, true);
    assert.equal(live(exchange, ALICE), 1);
    await until(() => live(exchange, ALICE) === 0);
    assert.deepEqual([armed(exchange), live(exchange, BOB), problems.length > 0], [[BOB], 1, true]);
    leases.stop();
  });

  it('stay for the other sockets when one goes while the engine does not answer it', async () => {
    const exchange = funded();
    const { leases, beSilent } = gatewayOf(exchange, []);
    await leases.arm(ALICE, SOCKET);
    beSilent(1);
    const arming = leases.arm(ALICE, OTHER);
    await Promise.all([assert.rejects(arming, { code: 'STATUS_UNKNOWN' }), leases.disarm(ALICE, OTHER, true)]);
    const renewed = exchange.journal.length;
    await until(() => exchange.journal.slice(renewed).some(({ command }) => command.kind === 'renewGateway'));
    assert.deepEqual(armed(exchange), [ALICE]);
    leases.stop();
  });

  it('are given back when the engine armed an account and did not say so', async () => {
    const exchange = funded();
    const { leases, beSilent } = gatewayOf(exchange);
    beSilent(1);
    await assert.rejects(leases.arm(ALICE, SOCKET), { code: 'STATUS_UNKNOWN' });
    assert.deepEqual(armed(exchange), [ALICE]);
    await until(() => armed(exchange).length === 0);
    assert.equal(live(exchange, ALICE), 1);
  });
});
