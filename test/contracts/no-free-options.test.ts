import assert from 'node:assert/strict';
import type { SkipReasonCode } from '../../src/domain/batches.ts';
import { SKIP_REASONS } from '../../src/domain/batches.ts';
import { undoAfterEach } from './support/lab-tests.ts';
import {
  createUser,
  EXIT_DELAY,
  GRACE,
  type LabOrder,
  type LabUser,
  PLENTY,
  revertOf,
  VaultLab,
} from './support/vault-lab.ts';

const ALL_MARKETS = 1n << 255n;

describe('no free options: what a user takes back binds settlement after GRACE', () => {
  const [alice, bob, key] = ['alice', 'bob', 'key'].map(createUser) as [LabUser, LabUser, LabUser];
  let lab: VaultLab;

  /** How a trade of the order against a fresh one of bob ends. */
  const outcome = async (taker: LabOrder): Promise<string> => {
    const maker = await lab.order(bob, { side: 'sell', lane: 1 });
    const [skip] = (await lab.settle({ fills: [{ taker, maker, size: 1 }] })).skips;
    return skip === undefined ? 'settled' : SKIP_REASONS[skip.reason as SkipReasonCode];
  };
  const bindingSecond = async (): Promise<number> => {
    const age = (await lab.now()) - lab.deployedAt;
    return lab.deployedAt + Math.floor(age / 60) * 60 + GRACE;
  };
  const advanceTo = (time: number) => lab.connection.networkHelpers.time.increaseTo(time);

  before(async () => {
    lab = await VaultLab.create();
    for (const user of [alice, bob]) for (const asset of [0, 1]) await lab.fund(user, asset, PLENTY);
  });
  undoAfterEach(() => lab);

  it('cancel between match and settlement', async () => {
    const order = await lab.order(alice);
    await (await lab.as(alice))['cancelAll']!();
    const binding = await bindingSecond();
    assert.equal(await outcome(order), 'settled');
    await advanceTo(binding - 2);
    assert.equal(await outcome(order), 'settled');
    await advanceTo(binding);
    assert.equal(await outcome(order), 'cancelled');
    assert.equal(await outcome(await lab.order(alice)), 'settled');
  });

  it('a second cancellation neither postpones a pending one nor revives older orders', async () => {
    const vault = await lab.as(alice);
    const old = await lab.order(alice);
    await vault['cancelAll']!();
    const first = await bindingSecond();
    await lab.advance(GRACE / 2);
    const middle = await lab.order(alice, { lane: 2 });
    await vault['cancelAll']!();
    const second = await bindingSecond();
    assert.equal((await revertOf(vault['cancelAll']!()))?.name, 'CancellationPending');
    assert.equal(await outcome(old), 'settled');
    await advanceTo(first);
    assert.equal(await outcome(old), 'cancelled');
    assert.equal(await outcome(middle), 'settled');
    await advanceTo(second);
    assert.equal(await outcome(middle), 'cancelled');
    assert.equal(await outcome(old), 'cancelled');
    await vault['cancelAll']!();
    assert.equal(await outcome(old), 'cancelled');
    assert.equal(await outcome(middle), 'cancelled');
  });

  it('a balance that shares its word with the stamps survives a cancellation', async () => {
    await (await lab.as(alice))['cancelAll']!();
    assert.equal(await lab.balance(alice, 0), PLENTY);
    assert.equal(await lab.balance(alice, 1), PLENTY);
  });

  it('expiry between match and settlement', async () => {
    const expiry = (await lab.now()) + 100;
    const order = await lab.order(alice, { expiry });
    await advanceTo(expiry + GRACE - 2);
    assert.equal(await outcome(order), 'settled');
    await advanceTo(expiry + GRACE);
    assert.equal(await outcome(order), 'expired');
  });

  it('revoke between match and settlement', async () => {
    const vault = await lab.as(alice);
    await vault['authorizeSessionKey']!(key.address, (await lab.now()) + 86_400, ALL_MARKETS);
    const order = await lab.order(alice, { by: { kind: 'session', key } });
    await vault['revokeSessionKey']!(key.address);
    const revokedAt = await lab.now();
    assert.equal(await outcome(order), 'settled');
    await advanceTo(revokedAt + GRACE - 2);
    assert.equal(await outcome(order), 'settled');
    await advanceTo(revokedAt + GRACE);
    assert.equal(await outcome(order), 'session_key_invalid');
    assert.equal((await revertOf(vault['revokeSessionKey']!(key.address)))?.name, 'UnknownSessionKey');
  });

  it('a revoked key is refused also where the tag skips recovery', async () => {
    const vault = await lab.as(alice);
    await vault['authorizeSessionKey']!(key.address, (await lab.now()) + 86_400, ALL_MARKETS);
    const order = await lab.order(alice, { lane: 3, by: { kind: 'session', key } });
    assert.equal(await outcome(order), 'settled');
    const again = { ...order, by: { kind: 'verified_session', key } as const };
    assert.equal(await outcome(again), 'settled');
    await vault['revokeSessionKey']!(key.address);
    await lab.advance(GRACE + 1);
    assert.equal(await outcome(again), 'session_key_invalid');
  });

  it('a session key’s own expiry binds after GRACE as well', async () => {
    const expiry = (await lab.now()) + 1_000;
    await (await lab.as(alice))['authorizeSessionKey']!(key.address, expiry, ALL_MARKETS);
    const order = await lab.order(alice, { by: { kind: 'session', key } });
    await advanceTo(expiry + GRACE - 2);
    assert.equal(await outcome(order), 'settled');
    await advanceTo(expiry + GRACE);
    assert.equal(await outcome(order), 'session_key_invalid');
  });

  it('exit between match and settlement: orders settle for GRACE, then the exit takes everything', async () => {
    const order = await lab.order(alice);
    const token = await lab.tokens[1]!.getAddress();
    const vault = await lab.as(alice);
    await vault['requestExit']!(token);
    assert.equal(await outcome(order), 'settled');
    await lab.advance(GRACE);
    assert.equal(await outcome(order), 'cancelled');
    await lab.advance(EXIT_DELAY - GRACE);
    await vault['exit']!(token, alice.address);
    assert.equal(await lab.balance(alice, 1), 0);
  });

  it('an exit asked for while two cancellations are under way: what was signed after both is cancelled by a third, in time', async () => {
    const vault = await lab.as(alice);
    const token = await lab.tokens[1]!.getAddress();
    await vault['cancelAll']!();
    await lab.advance(60);
    await vault['cancelAll']!();
    await lab.advance(60);
    const order = await lab.order(alice);
    await vault['requestExit']!(token);
    assert.equal((await revertOf(vault['cancelAll']!()))?.name, 'CancellationPending');
    await lab.advance(GRACE);
    assert.equal(await outcome(order), 'settled');
    assert.ok((await lab.now()) < Number(await lab.vault['exitAvailableAt']!(alice.address, token)));
    await vault['cancelAll']!();
    await lab.advance(GRACE);
    assert.equal(await outcome(order), 'cancelled');
  });

  it('an exit does not clear the header: cancelled orders stay cancelled, filled ones filled', async () => {
    const old = await lab.order(alice);
    const filled = await lab.order(alice, { sizeLots: 1 });
    assert.equal(await outcome(filled), 'settled');
    const vault = await lab.as(alice);
    for (const token of [lab.tokens[0]!, lab.tokens[1]!]) await vault['requestExit']!(await token.getAddress());
    await lab.advance(EXIT_DELAY);
    for (const token of [lab.tokens[0]!, lab.tokens[1]!]) await vault['exit']!(await token.getAddress(), alice.address);
    await lab.fund(alice, 1, PLENTY);
    assert.equal(await outcome(old), 'cancelled');
    assert.equal(await outcome(filled), 'cancelled');
    const [sequence, lots] = await lab.vault['laneState']!(alice.address, 0);
    assert.deepEqual([sequence, lots], [BigInt(filled.orderSequence), 1n]);
  });

  it('delisting binds after GRACE', async () => {
    const order = await lab.order(alice);
    await lab.vault['delistMarket']!(0);
    assert.equal(await outcome(order), 'settled');
    await lab.advance(GRACE);
    assert.equal(await outcome(order), 'market_closed');
  });
});
