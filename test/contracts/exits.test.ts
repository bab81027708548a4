import assert from 'node:assert/strict';
import type { Contract } from 'ethers';
import type { Quanta } from '../../src/domain/units.ts';
import { listHostileToken, refusalOf, undoAfterEach } from './support/lab-tests.ts';
import { createUser, EXIT_DELAY, type LabUser, VaultLab } from './support/vault-lab.ts';

const quanta = (amount: number): Quanta => amount as Quanta;

describe('exits', () => {
  const [alice, bob] = ['alice', 'bob'].map(createUser) as [LabUser, LabUser];
  const stranger = createUser('stranger');
  let lab: VaultLab;

  const list = (source: string, args: readonly unknown[] = [], quantum = 1n) =>
    listHostileToken(lab, alice, source, args, quantum);
  const deposit = async (token: Contract, amount: bigint | number, user = alice) =>
    (await lab.as(user))['deposit']!(await token.getAddress(), amount, user.address);
  const outcome = async (withdrawal: Awaited<ReturnType<VaultLab['withdrawal']>>) =>
    (await lab.settle({ withdrawals: [withdrawal] })).withdrawals[0]?.reason;
  before(async () => {
    lab = await VaultLab.create();
    for (const user of [alice, bob]) for (const asset of [0, 1]) await lab.fund(user, asset, 10 ** 9);
  });
  undoAfterEach(() => lab);

  const token = () => lab.tokens[1]!.getAddress();

  it('I14, P3: while paused, with every service dead, an owner is out within the delay', async () => {
    await (lab.vault.connect(lab.guardian) as Contract)['pause']!();
    const vault = await lab.as(alice);
    await vault['requestExit']!(await token());
    assert.equal(await refusalOf(vault['exit']!(await token(), alice.address)), 'ExitNotYet');
    await lab.advance(EXIT_DELAY - 3);
    assert.equal(await refusalOf(vault['exit']!(await token(), alice.address)), 'ExitNotYet');
    await lab.advance(3);
    await vault['exit']!(await token(), stranger.address);
    assert.equal(await lab.tokens[1]!['balanceOf']!(stranger.address), 10n ** 9n);
    await vault['cancelAll']!();
  });

  it('asset by asset, the books of each fall by what was paid, wherever its totals lie', async () => {
    const vault = await lab.as(alice);
    for (const asset of [0, 1, 2]) {
      await lab.fund(alice, asset, 300);
      await lab.fund(bob, asset, 40);
    }
    const bookedOf = async (asset: number) => Number((await lab.inspect([])).assets[asset].booked);
    const booked = [await bookedOf(0), await bookedOf(1), await bookedOf(2)];
    for (const asset of [0, 1, 2]) await vault['requestExit']!(await lab.tokens[asset]!.getAddress());
    await lab.advance(EXIT_DELAY);
    for (const asset of [0, 1, 2]) {
      const balance = await lab.balance(alice, asset);
      await vault['exit']!(await lab.tokens[asset]!.getAddress(), stranger.address);
      assert.equal(await lab.balance(alice, asset), 0);
      assert.equal(await bookedOf(asset), booked[asset]! - balance);
    }
    assert.equal(await refusalOf(vault['exit']!(stranger.address, alice.address)), 'UnknownAsset');
  });

  it('two tokens whose addresses end alike share a word: a request for one never pays the other', async () => {
    const { ethers, networkHelpers } = lab.connection;
    const code = await ethers.provider.getCode(await token());
    const twins: string[] = [];
    for (const start of ['11', '22']) {
      const address = `0x${start.repeat(10)}${'ab'.repeat(10)}`;
      await networkHelpers.setCode(address, code);
      const twin = lab.tokens[1]!.attach(address) as Contract;
      const shown = { symbol: `T${start}`, decimals: 6 };
      await lab.listAsset(twin, 1n, 1, shown);
      lab.tokens.push(twin);
      lab.assets.push({ ...shown, quantum: 1n, kind: 'mocks/TestToken.sol/TestToken' });
      await lab.fund(alice, lab.tokens.length - 1, Number(start));
      await lab.fund(bob, lab.tokens.length - 1, 1_000);
      twins.push(address);
    }
    const [first, second] = twins as [string, string];
    const vault = await lab.as(alice);
    await vault['requestExit']!(first);
    assert.equal(await refusalOf(vault['requestExit']!(second)), 'ExitPending');
    assert.equal(await refusalOf(vault['cancelExit']!(second)), 'NoExitRequested');
    assert.equal(await lab.vault['exitAvailableAt']!(alice.address, second), 0n);
    await lab.advance(EXIT_DELAY);
    assert.equal(await refusalOf(vault['exit']!(second, stranger.address)), 'NoExitRequested');
    await vault['exit']!(first, stranger.address);
    await vault['requestExit']!(second);
    assert.equal(await refusalOf(vault['exit']!(first, stranger.address)), 'NoExitRequested');
    await lab.advance(EXIT_DELAY);
    await vault['exit']!(second, stranger.address);
    for (const [index, paid] of [11n, 22n].entries()) {
      const twin = lab.tokens.at(index - 2) as Contract;
      assert.equal(await twin['balanceOf']!(stranger.address), paid);
      assert.equal(await twin['balanceOf']!(vault.target), 1_000n);
    }
  });

  it('twice: an exit pays once', async () => {
    const vault = await lab.as(alice);
    await vault['requestExit']!(await token());
    assert.equal(await refusalOf(vault['requestExit']!(await token())), 'ExitPending');
    await lab.advance(EXIT_DELAY);
    await vault['exit']!(await token(), alice.address);
    assert.equal(await refusalOf(vault['exit']!(await token(), alice.address)), 'NoExitRequested');
    await vault['requestExit']!(await token());
    await lab.advance(EXIT_DELAY);
    assert.equal(await refusalOf(vault['exit']!(await token(), alice.address)), 'NothingToPay');
  });

  it('then deposit again: the account goes on', async () => {
    const vault = await lab.as(alice);
    await vault['requestExit']!(await token());
    await lab.advance(EXIT_DELAY);
    await vault['exit']!(await token(), alice.address);
    await lab.fund(alice, 1, 500);
    assert.equal(await lab.balance(alice, 1), 500);
    assert.equal(await refusalOf(vault['exit']!(await token(), alice.address)), 'NoExitRequested');
  });

  it('with partial fills open, and during a pending batch: what is left on the books is paid', async () => {
    const [taker, maker] = [await lab.order(alice), await lab.order(bob, { side: 'sell' })];
    await lab.settle({ fills: [{ taker, maker, size: 2 }] });
    const vault = await lab.as(alice);
    await vault['requestExit']!(await token());
    await lab.advance(EXIT_DELAY);
    const balance = await lab.balance(alice, 1);
    await vault['exit']!(await token(), stranger.address);
    assert.equal(Number(await lab.tokens[1]!['balanceOf']!(stranger.address)), balance);
    const late = await lab.settle({ fills: [{ taker, maker, size: 2 }] });
    assert.equal(late.skips.length, 1);
  });

  it('request replayed or cancelled: only the owner’s own standing request pays', async () => {
    const vault = await lab.as(alice);
    assert.equal(await refusalOf(vault['cancelExit']!(await token())), 'NoExitRequested');
    await vault['requestExit']!(await token());
    await vault['cancelExit']!(await token());
    await lab.advance(EXIT_DELAY);
    assert.equal(await refusalOf(vault['exit']!(await token(), alice.address)), 'NoExitRequested');
    const other = await lab.as(bob);
    assert.equal(await refusalOf(other['exit']!(await token(), bob.address)), 'NoExitRequested');
  });

  it('withdrawal racing an exit: whichever comes first is paid, the other finds nothing', async () => {
    const vault = await lab.as(alice);
    await vault['requestExit']!(await token());
    await lab.advance(EXIT_DELAY);
    const withdrawal = await lab.withdrawal(alice, { amount: quanta(10 ** 9) });
    await vault['exit']!(await token(), alice.address);
    assert.equal(await outcome(withdrawal), 'insufficient_balance');
    // The other way round: the exit pays what the withdrawal has left.
    const other = await lab.as(bob);
    await other['requestExit']!(await token());
    await lab.advance(EXIT_DELAY);
    assert.equal(await outcome(await lab.withdrawal(bob, { amount: quanta(400), fee: quanta(0) })), 'executed');
    await other['exit']!(await token(), stranger.address);
    assert.equal(await lab.tokens[1]!['balanceOf']!(stranger.address), 10n ** 9n - 400n);
  });

  it('blocklist: an owner whom a token blocks leaves to another address', async () => {
    const moody = await list('MoodyToken', [18]);
    await deposit(moody, 1_000);
    const vault = await lab.as(alice);
    await vault['requestExit']!(await moody.getAddress());
    await lab.advance(EXIT_DELAY);
    await moody['setBlocked']!(alice.address, true);
    assert.equal(await refusalOf(vault['exit']!(await moody.getAddress(), alice.address)), 'TransferFailed');
    await vault['exit']!(await moody.getAddress(), stranger.address);
    assert.equal(await moody['balanceOf']!(stranger.address), 1_000n);
  });

  it('delay changed while pending: it cannot change, the request carries its own time', async () => {
    const vault = await lab.as(alice);
    await vault['requestExit']!(await token());
    const availableAt = await lab.vault['exitAvailableAt']!(alice.address, await token());
    assert.equal(availableAt, BigInt((await lab.now()) + EXIT_DELAY));
    assert.ok(!lab.vault.interface.fragments.some((part) => 'name' in part && /set.*Delay/i.test(String(part.name))));
  });

  it('refuses recipients that would lose the money', async () => {
    const vault = await lab.as(alice);
    await vault['requestExit']!(await token());
    await lab.advance(EXIT_DELAY);
    for (const bad of [`0x${'00'.repeat(20)}`, vault.target, await token()]) {
      assert.equal(await refusalOf(vault['exit']!(await token(), bad)), 'BadAddress');
    }
  });

  it('a token that refuses leaves the request and the balance as they were', async () => {
    const moody = await list('MoodyToken', [18]);
    await deposit(moody, 1_000);
    const vault = await lab.as(alice);
    await vault['requestExit']!(await moody.getAddress());
    await lab.advance(EXIT_DELAY);
    await moody['setMood']!(1);
    assert.equal(await refusalOf(vault['exit']!(await moody.getAddress(), alice.address)), 'TransferFailed');
    await moody['setMood']!(0);
    await vault['exit']!(await moody.getAddress(), alice.address);
  });

  it('reentrant token', async () => {
    const reentrant = await list('ReentrantToken');
    await deposit(reentrant, 1_000);
    const vault = await lab.as(alice);
    await vault['requestExit']!(await reentrant.getAddress());
    await lab.advance(EXIT_DELAY);
    await reentrant['setCallback']!(vault.target, vault.interface.encodeFunctionData('cancelAll', []));
    await vault['exit']!(await reentrant.getAddress(), stranger.address);
    assert.equal(lab.vault.interface.parseError(await reentrant['answer']!())?.name, 'Reentered');
  });
});
