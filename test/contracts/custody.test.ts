import assert from 'node:assert/strict';
import { type Contract, Signature, TypedDataEncoder } from 'ethers';
import { decodeSkips } from '../../src/chain/vault-events.ts';
import type { Address, Quanta } from '../../src/domain/units.ts';
import { listHostileToken, refusalOf, undoAfterEach } from './support/lab-tests.ts';
import { createUser, EXIT_DELAY, type LabUser, signLong, VaultLab } from './support/vault-lab.ts';

const MAX = 2n ** 256n - 1n;
const quanta = (amount: number): Quanta => amount as Quanta;

describe('custody', () => {
  const [alice, bob, signer] = ['alice', 'bob', 'wallet signer'].map(createUser) as [LabUser, LabUser, LabUser];
  const stranger = createUser('stranger');
  let lab: VaultLab;

  const list = (source: string, args: readonly unknown[] = [], quantum = 1n) =>
    listHostileToken(lab, alice, source, args, quantum);
  const deposit = async (token: Contract, amount: bigint | number, user = alice) =>
    (await lab.as(user))['deposit']!(await token.getAddress(), amount, user.address);
  const outcome = async (withdrawal: Awaited<ReturnType<VaultLab['withdrawal']>>) =>
    (await lab.settle({ withdrawals: [withdrawal] })).withdrawals[0]?.reason;
  const approveUsdc = async (user: LabUser): Promise<Contract> => {
    const token = lab.tokens[1]!;
    await token['mint']!(user.address, 10 ** 9);
    const vault = await lab.as(user);
    await (token.connect(vault.runner) as Contract)['approve']!(vault.target, MAX);
    return token;
  };

  before(async () => {
    lab = await VaultLab.create();
    for (const user of [alice, bob]) for (const asset of [0, 1]) await lab.fund(user, asset, 10 ** 9);
  });
  undoAfterEach(() => lab);

  describe('deposits', () => {
    it('I12: credits the beneficiary with exactly what was received', async () => {
      const token = await approveUsdc(alice);
      await (await lab.as(alice))['deposit']!(await token.getAddress(), 500, bob.address);
      assert.equal(await lab.balance(bob, 1), 10 ** 9 + 500);
    });

    it('fee on transfer', async () => {
      assert.equal(await refusalOf(deposit(await list('FeeOnTransferToken'), 1_000)), 'ReceivedOther');
    });

    it('rebasing: shows as a difference between books and holdings, never as anyone’s balance', async () => {
      const token = await list('RebasingToken');
      await deposit(token, 1_000);
      await token['rebase']!(50);
      const state = await lab.inspect([alice]);
      assert.equal(state.assets.at(-1).booked, 1_000n);
      assert.equal(state.assets.at(-1).held, 500n);
      await token['rebase']!(200);
      assert.equal((await lab.inspect([alice])).assets.at(-1).booked, 1_000n);
    });

    it('no return value', async () => {
      const token = await list('NoReturnToken', [6]);
      await deposit(token, 1_000);
      assert.equal(await lab.balance(alice, lab.tokens.length - 1), 1_000);
      assert.equal(await outcome(await lab.withdrawal(alice, { asset: lab.tokens.length - 1 })), 'executed');
    });

    it('false return, revert, short or endless output, all gas burnt', async () => {
      const token = await list('MoodyToken', [18]);
      for (const mood of [1, 2, 5, 4]) {
        await token['setMood']!(mood);
        assert.equal(await refusalOf(deposit(token, 1_000)), 'TransferFailed', `mood ${mood}`);
      }
      await token['setMood']!(0);
      await deposit(token, 1_000);
    });

    it('0 / 6 / 18 / 24 decimals, missing metadata: whole quanta only, of at least the minimum', async () => {
      for (const index of [4, 1, 3, 5]) {
        const { quantum } = lab.assets[index]!;
        const token = lab.tokens[index]!;
        await token['mint']!(alice.address, quantum * 10n);
        const vault = await lab.as(alice);
        await (token.connect(vault.runner) as Contract)['approve']!(vault.target, MAX);
        if (quantum > 1n) assert.equal(await refusalOf(deposit(token, quantum + 1n)), 'NotWholeQuanta');
        assert.equal(await refusalOf(deposit(token, 0)), 'DepositTooSmall');
        const before = await lab.balance(alice, index);
        await deposit(token, quantum * 3n);
        assert.equal(await lab.balance(alice, index), before + 3);
      }
    });

    it('reverts on zero: nothing is deposited, and a withdrawal that the fee eats up fails alone', async () => {
      const token = await list('MoodyToken', [18]);
      assert.equal(await refusalOf(deposit(token, 0)), 'DepositTooSmall');
      await deposit(token, 1_000);
      const asset = lab.tokens.length - 1;
      const all = await lab.withdrawal(alice, { asset, amount: quanta(10), maxFee: quanta(10), fee: quanta(10) });
      const settled = await lab.settle({ withdrawals: [all, await lab.withdrawal(alice, { asset, lane: 1 })] });
      assert.deepEqual(
        settled.withdrawals.map(({ reason }) => reason),
        ['transfer_failed', 'executed'],
      );
    });

    it('missing metadata: decimals and symbol come with the listing, the token is never asked', async () => {
      const token = await list('BareToken');
      assert.equal(token.interface.getFunction('decimals'), null);
      await deposit(token, 5_000);
      const asset = lab.tokens.length - 1;
      assert.equal(await outcome(await lab.withdrawal(alice, { asset })), 'executed');
      const vault = await lab.as(alice);
      await vault['requestExit']!(await token.getAddress());
      await lab.advance(EXIT_DELAY);
      await vault['exit']!(await token.getAddress(), stranger.address);
      assert.equal(await token['balanceOf']!(stranger.address), 4_900n);
    });

    it('reentrant', async () => {
      const token = await list('ReentrantToken');
      const request = lab.vault.interface.encodeFunctionData('deposit', [await token.getAddress(), 1, bob.address]);
      await token['setCallback']!(lab.vault.target, request);
      await deposit(token, 1_000);
      assert.equal(await token['entered']!(), false);
      assert.equal(lab.vault.interface.parseError(await token['answer']!())?.name, 'Reentered');
      assert.equal(await lab.balance(alice, lab.tokens.length - 1), 1_000);
    });

    it('unlisted tokens, no beneficiary, the vault as beneficiary, more than the books hold', async () => {
      const vault = await lab.as(alice);
      const token = await approveUsdc(alice);
      const address = await token.getAddress();
      assert.equal(await refusalOf(vault['deposit']!(stranger.address, 1_000, alice.address)), 'UnknownAsset');
      assert.equal(await refusalOf(vault['deposit']!(address, 1_000, `0x${'00'.repeat(20)}`)), 'BadAddress');
      assert.equal(await refusalOf(vault['deposit']!(address, 1_000, vault.target)), 'BadAddress');
      await token['mint']!(alice.address, 2n ** 53n);
      assert.equal(await refusalOf(vault['deposit']!(address, 2n ** 53n, alice.address)), 'TooMuchBooked');
    });

    it('EIP-2612: a permit, a permit used up by someone else, a bad one', async () => {
      const token = lab.tokens[1]!;
      await token['mint']!(stranger.address, 5_000);
      const vault = await lab.as(stranger);
      const permit = async (value: number) => {
        const domain = { name: 'USDC', version: '1', chainId: 31_337, verifyingContract: await token.getAddress() };
        const types = {
          Permit: ['owner', 'spender', 'value', 'nonce', 'deadline'].map((name, i) => ({
            name,
            type: i < 2 ? 'address' : 'uint256',
          })),
        };
        const message = {
          owner: stranger.address,
          spender: vault.target,
          value,
          nonce: await token['nonces']!(stranger.address),
          deadline: MAX,
        };
        const digest = TypedDataEncoder.hash(domain as never, types, message) as `0x${string}`;
        return Signature.from(signLong(stranger, digest));
      };
      const { v, r, s } = await permit(1_000);
      await vault['depositWithPermit']!(await token.getAddress(), 1_000, stranger.address, MAX, v, r, s);
      assert.equal(await lab.balance(stranger, 1), 1_000);
      const next = await permit(1_000);
      await token['permit']!(stranger.address, vault.target, 1_000, MAX, next.v, next.r, next.s);
      await vault['depositWithPermit']!(await token.getAddress(), 1_000, stranger.address, MAX, next.v, next.r, next.s);
      assert.equal(await lab.balance(stranger, 1), 2_000);
      const failing = vault['depositWithPermit']!(
        await token.getAddress(),
        1_000,
        stranger.address,
        MAX,
        next.v,
        next.r,
        next.s,
      );
      assert.equal(await refusalOf(failing), 'TransferFailed');
    });

    it('Permit2: anyone may relay, nobody may change the beneficiary', async () => {
      const token = lab.tokens[1]!;
      const permit2 = (await lab.vault['PERMIT2']!()) as Address;
      await token['mint']!(stranger.address, 5_000);
      const own = await lab.as(stranger);
      await (token.connect(own.runner) as Contract)['approve']!(permit2, MAX);
      const types = {
        PermitWitnessTransferFrom: [
          { name: 'permitted', type: 'TokenPermissions' },
          { name: 'spender', type: 'address' },
          { name: 'nonce', type: 'uint256' },
          { name: 'deadline', type: 'uint256' },
          { name: 'witness', type: 'Deposit' },
        ],
        TokenPermissions: [
          { name: 'token', type: 'address' },
          { name: 'amount', type: 'uint256' },
        ],
        Deposit: [{ name: 'beneficiary', type: 'address' }],
      };
      const address = await token.getAddress();
      const message = {
        permitted: { token: address, amount: 1_000 },
        spender: lab.vault.target,
        nonce: 1,
        deadline: MAX,
        witness: { beneficiary: stranger.address },
      };
      const domain = { name: 'Permit2', chainId: 31_337, verifyingContract: permit2 };
      const signature = signLong(stranger, TypedDataEncoder.hash(domain, types, message) as `0x${string}`);
      const relayer = await lab.as(bob);
      const send = (beneficiary: string) =>
        relayer['depositWithPermit2']!(address, 1_000, beneficiary, stranger.address, 1, MAX, signature);
      await assert.rejects(send(bob.address));
      await send(stranger.address);
      assert.equal(await lab.balance(stranger, 1), 1_000);
      await assert.rejects(send(stranger.address));
    });

    it('ether is wrapped, and may not be sent in any other way', async () => {
      const vault = await lab.as(alice);
      await vault['depositEther']!(alice.address, { value: 10n ** 18n });
      assert.equal(await lab.balance(alice, 0), 2 * 10 ** 9);
      assert.equal(
        await refusalOf(vault['depositEther']!(alice.address, { value: 10n ** 18n + 1n })),
        'NotWholeQuanta',
      );
      assert.equal(await refusalOf(lab.deployer.sendTransaction({ to: vault.target, value: 1 })), 'BadAddress');
    });
  });

  describe('withdrawals', () => {
    const usdcOf = async (address: string): Promise<number> => Number(await lab.tokens[1]!['balanceOf']!(address));

    it('debits the amount, pays it less the fee, and uses up the nonce', async () => {
      const withdrawal = await lab.withdrawal(alice, {
        amount: quanta(1_000),
        fee: quanta(7),
        recipient: stranger.address,
      });
      assert.equal(await outcome(withdrawal), 'executed');
      assert.equal(await usdcOf(stranger.address), 993);
      assert.equal(await lab.balance(alice, 1), 10 ** 9 - 1_000);
      const state = await lab.inspect([alice]);
      assert.equal(state.assets[1].fees, 7n);
      assert.equal(await lab.vault['withdrawalLane']!(alice.address, 0), BigInt(withdrawal.withdrawalSequence));
      assert.equal(await outcome(withdrawal), 'nonce_used');
      assert.equal(await usdcOf(stranger.address), 993);
    });

    it('may spend what the same batch’s trades brought in', async () => {
      const taker = await lab.order(stranger, { side: 'sell', sizeLots: 1 });
      await lab.fund(stranger, 0, 1_000_000);
      const maker = await lab.order(bob, { side: 'buy', priceTicks: 1_000 });
      const withdrawal = await lab.withdrawal(stranger, { amount: quanta(9_000), fee: quanta(0) });
      const settled = await lab.settle({ fills: [{ taker, maker, size: 1 }], withdrawals: [withdrawal] });
      assert.equal(settled.withdrawals[0]?.reason, 'executed');
      assert.equal(await usdcOf(stranger.address), 9_000);
    });

    it('a session key cannot withdraw', async () => {
      await (await lab.as(alice))['authorizeSessionKey']!(stranger.address, (await lab.now()) + 10_000, 1n << 255n);
      assert.equal(await outcome(await lab.withdrawal(alice, { signer: stranger })), 'bad_signature');
    });

    it('whatever is wrong with one stops neither the others nor the trades', async () => {
      const now = await lab.now();
      const token = (await lab.tokens[0]!.getAddress()).toLowerCase() as Address;
      const vault = (lab.vault.target as string).toLowerCase() as Address;
      const bad: [Parameters<VaultLab['withdrawal']>[1], string][] = [
        [{ signer: bob }, 'bad_signature'],
        [{ asset: 99 }, 'unknown_asset'],
        [{ asset: 1, native: true }, 'unknown_asset'],
        [{ amount: quanta(0), fee: quanta(0) }, 'bad_amount'],
        [{ amount: quanta(4), fee: quanta(5) }, 'bad_amount'],
        [{ fee: quanta(11) }, 'fee_too_high'],
        [{ expiry: (now - 1) as never }, 'expired'],
        [{ withdrawalSequence: 0 }, 'bad_sequence'],
        [{ withdrawalSequence: (now - lab.deployedAt + 300) * 1_000 }, 'bad_sequence'],
        [{ recipient: `0x${'00'.repeat(20)}` }, 'bad_recipient'],
        [{ recipient: vault }, 'bad_recipient'],
        [{ recipient: token }, 'bad_recipient'],
        [{ amount: quanta(10 ** 9 + 1) }, 'insufficient_balance'],
        [{ account: `0x${'00'.repeat(20)}`, recipient: bob.address }, 'bad_signature'],
      ];
      const withdrawals = [];
      for (const [index, [terms]] of bad.entries())
        withdrawals.push(await lab.withdrawal(alice, { lane: index, ...terms }));
      withdrawals.splice(7, 0, await lab.withdrawal(alice, { lane: 100 }));
      withdrawals.push(await lab.withdrawal(bob));
      const fill = { taker: await lab.order(alice), maker: await lab.order(bob, { side: 'sell' }), size: 1 };
      const settled = await lab.settle({ fills: [fill], withdrawals });
      assert.deepEqual(settled.skips, decodeSkips(new Uint8Array()));
      const expected = bad.map(([, reason]) => reason);
      expected.splice(7, 0, 'executed');
      assert.deepEqual(
        settled.withdrawals.map(({ reason }) => reason),
        [...expected, 'executed'],
      );
      assert.deepEqual(
        settled.withdrawals.map(({ index }) => index),
        withdrawals.map((_, index) => index),
      );
    });

    it('blocklist, false return, revert, endless output, burnt gas: credited back, no nonce consumed', async () => {
      const token = await list('MoodyToken', [6]);
      const asset = lab.tokens.length - 1;
      await deposit(token, 10_000);
      const withdrawal = await lab.withdrawal(alice, { asset, amount: quanta(1_000), recipient: stranger.address });
      const fails = async (): Promise<void> => {
        const settled = await lab.settle({ withdrawals: [withdrawal, await lab.withdrawal(bob, { lane: 9 })] });
        assert.deepEqual(
          settled.withdrawals.map(({ reason }) => reason),
          ['transfer_failed', 'executed'],
        );
        assert.equal(await lab.balance(alice, asset), 10_000);
        const state = await lab.inspect([alice]);
        assert.deepEqual([state.assets[asset].booked, state.assets[asset].fees], [10_000n, 0n]);
      };
      for (const mood of [1, 2, 4, 5]) {
        await token['setMood']!(mood);
        await fails();
      }
      await token['setMood']!(0);
      await token['setBlocked']!(stranger.address, true);
      await fails();
      await token['setBlocked']!(stranger.address, false);
      assert.equal(await outcome(withdrawal), 'executed');
      assert.equal(await token['balanceOf']!(stranger.address), 995n);
      // Output beyond one word is not copied: a transfer that says true at endless length would be true.
      await token['setMood']!(3);
      const huge = await lab.settle({ withdrawals: [await lab.withdrawal(alice, { asset, lane: 1 })] });
      assert.equal(huge.withdrawals[0]?.reason, 'transfer_failed');
    });

    it('the main asset, whose totals lie beside the vault’s progress: a failed payment leaves totals and progress as they were', async () => {
      const moodyCode = await lab.connection.ethers.provider.getCode(
        await (await list('MoodyToken', [6])).getAddress(),
      );
      const address = await lab.tokens[1]!.getAddress();
      await lab.connection.networkHelpers.setCode(address, moodyCode);
      const moody = lab.tokens.at(-1)!.attach(address) as Contract;
      await moody['setMood']!(1);
      const before = await lab.inspect([alice]);
      const withdrawal = await lab.withdrawal(alice, { amount: quanta(1_000), recipient: stranger.address });
      const fill = {
        taker: await lab.order(alice),
        maker: await lab.order(bob, { side: 'sell' }),
        size: 10,
        takerFeePpm: 1_000,
        makerFeePpm: 500,
      };
      const failed = await lab.settle({ fills: [fill], withdrawals: [withdrawal] });
      assert.deepEqual([failed.skips, failed.withdrawals[0]?.reason], [[], 'transfer_failed']);
      // 10,000 quanta changed hands, and the two fees alone moved a total.
      const after = await lab.inspect([alice]);
      assert.equal(after.assets[1].booked, before.assets[1].booked);
      assert.equal(after.assets[1].fees, before.assets[1].fees + 15n);
      assert.equal(after.accounts[0].balances[1], before.accounts[0].balances[1] - 10_010n);
      assert.equal(after.batchId, before.batchId + 1n);
      assert.equal(after.eventSequence, failed.eventSequence);
      assert.equal(after.pausedUntil, before.pausedUntil);
      await moody['setMood']!(0);
      assert.equal(await outcome(withdrawal), 'executed');
      const paid = await lab.inspect([alice]);
      assert.equal(paid.assets[1].booked, before.assets[1].booked - 995n);
      assert.equal(paid.assets[1].fees, before.assets[1].fees + 20n);
      assert.equal(paid.assets[1].held, before.assets[1].held - 995n);
      assert.equal(await moody['balanceOf']!(stranger.address), 995n);
    });

    it('a net-outflow limit per asset and window, net of deposits', async () => {
      const address = await lab.tokens[1]!.getAddress();
      await lab.vault['setOutflowLimit']!(address, 1_000, 600);
      const take = async (amount: number) =>
        outcome(await lab.withdrawal(alice, { amount: quanta(amount), fee: quanta(0) }));
      assert.equal(await take(1_001), 'outflow_limit');
      assert.equal(await take(600), 'executed');
      assert.equal(await take(401), 'outflow_limit');
      await lab.fund(bob, 1, 100);
      assert.equal(await take(500), 'executed');
      assert.equal(await take(1), 'outflow_limit');
      await lab.advance(601);
      assert.equal(await take(1_000), 'executed');
      assert.equal(await take(1), 'outflow_limit');
      // Exits are never limited.
      const vault = await lab.as(alice);
      await vault['requestExit']!(address);
      await lab.advance(EXIT_DELAY);
      await vault['exit']!(address, alice.address);
      assert.equal(await lab.balance(alice, 1), 0);
    });

    it('in the chain’s own currency: unwrapped, or put back when the recipient refuses', async () => {
      await (await lab.as(alice))['depositEther']!(alice.address, { value: 10n ** 18n });
      const wallet = await lab.deploy('mocks/Wallets.sol/TestWallet', [signer.address]);
      const recipient = (await wallet.getAddress()).toLowerCase() as Address;
      await wallet['setRefusesEther']!(true);
      const withdrawal = await lab.withdrawal(alice, {
        asset: 0,
        native: true,
        amount: quanta(1_000),
        fee: quanta(1),
        recipient,
      });
      const held = await lab.tokens[0]!['balanceOf']!(lab.vault.target);
      assert.equal(await outcome(withdrawal), 'transfer_failed');
      assert.equal(await lab.tokens[0]!['balanceOf']!(lab.vault.target), held);
      await wallet['setRefusesEther']!(false);
      assert.equal(await outcome(withdrawal), 'executed');
      assert.equal(await lab.connection.ethers.provider.getBalance(recipient), 999n * 10n ** 9n);
      // Wrapped tokens without ether behind them cannot be unwrapped: that item fails, the batch does not.
      await lab.connection.networkHelpers.setBalance(await lab.tokens[0]!.getAddress(), 0n);
      const dry = await lab.withdrawal(alice, { asset: 0, native: true, lane: 1, recipient });
      assert.equal(await outcome(dry), 'transfer_failed');
    });

    it('1271 wallet that reverts, returns garbage, burns gas, re-enters (registration, withdrawal)', async () => {
      const wallet = await lab.deploy('mocks/Wallets.sol/TestWallet', [signer.address]);
      const account = (await wallet.getAddress()).toLowerCase() as Address;
      await lab.fund({ address: account }, 1, 10_000);
      const withdrawal = await lab.withdrawal(signer, { account, recipient: stranger.address, contractWallet: true });
      const digest = await lab.orderDigest({ ...(await lab.order(signer)), user: { ...signer, address: account } });
      const signature = signLong(signer, digest);
      for (const mood of [1, 2, 3, 4, 5, 6]) {
        await wallet['setMood']!(mood);
        const settled = await lab.settle({ withdrawals: [withdrawal, await lab.withdrawal(bob, { lane: mood })] });
        assert.deepEqual(
          settled.withdrawals.map(({ reason }) => reason),
          ['bad_signature', 'executed'],
          `mood ${mood}`,
        );
        const registration = lab.vault['registerOrder']!(account, digest, signature, { gasLimit: 2_000_000 });
        assert.equal(await refusalOf(registration), 'BadSignature', `mood ${mood}`);
      }
      await wallet['setMood']!(0);
      assert.equal(await outcome(withdrawal), 'executed');
      await lab.vault['registerOrder']!(account, digest, signature);
      assert.equal(await lab.vault['isOrderRegistered']!(account, digest), true);
    });
  });

  it('1271 wallet that re-enters: in a registration, a withdrawal’s signature check and its payment', async () => {
    const wallet = await lab.deploy('mocks/Wallets.sol/ReentrantWallet', [signer.address]);
    const account = (await wallet.getAddress()).toLowerCase() as Address;
    await lab.fund({ address: account }, 0, 10_000);
    await (await lab.as(bob))['depositEther']!(bob.address, { value: 10n ** 18n });
    for (const [name, args] of [
      ['cancelAll', []],
      ['requestExit', [await lab.tokens[0]!.getAddress()]],
      ['collectFees', [await lab.tokens[1]!.getAddress()]],
      ['depositEther', [account]],
    ] as const) {
      await wallet['setCallback']!(lab.vault.target, lab.vault.interface.encodeFunctionData(name, args));
      const digest = await lab.orderDigest({ ...(await lab.order(signer)), user: { ...signer, address: account } });
      await lab.vault['registerOrder']!(account, digest, signLong(signer, digest));
      assert.equal(await lab.vault['isOrderRegistered']!(account, digest), true, name);
      const terms = { account, asset: 0, native: true, contractWallet: true } as const;
      assert.equal(await outcome(await lab.withdrawal(signer, terms)), 'executed', name);
      assert.equal(await wallet['entered']!(), false, name);
      assert.equal(lab.vault.interface.parseError(await wallet['answer']!())?.name, 'Reentered', name);
    }
    assert.equal(await lab.balance({ address: account }, 0), 10_000 - 4 * 100);
    assert.equal(await lab.connection.ethers.provider.getBalance(account), 4n * 95n * 10n ** 9n);
  });

  it('engine key stolen: withdrawals that users signed leave no faster than the withdrawal window allows', async () => {
    const address = await lab.tokens[1]!.getAddress();
    await lab.vault['setOutflowLimit']!(address, 1_000, 86_400);
    const signed = [];
    for (let lane = 0; lane < 5; lane++) signed.push(await lab.withdrawal(alice, { lane, amount: quanta(400) }));
    const forged = await lab.withdrawal(bob, { signer: stranger, recipient: stranger.address, lane: 9 });
    const settled = await lab.settle({ withdrawals: [...signed, forged] });
    assert.deepEqual(
      settled.withdrawals.map(({ reason }) => reason),
      ['executed', 'executed', 'outflow_limit', 'outflow_limit', 'outflow_limit', 'bad_signature'],
    );
    const before = 2n * 10n ** 9n;
    assert.ok(before - (await lab.inspect([])).assets[1].booked <= 1_000n);
  });

  it('P4: donations stay surplus, collected fees leave the books', async () => {
    const usdc = lab.tokens[1]!;
    await usdc['mint']!(lab.vault.target, 777);
    const [taker, maker] = [await lab.order(alice), await lab.order(bob, { side: 'sell' })];
    await lab.settle({ fills: [{ taker, maker, size: 2 }] });
    const before = (await lab.inspect([])).assets[1];
    assert.equal(before.held - before.booked, 777n);
    assert.ok(before.fees > 0n);
    await (await lab.as(stranger))['collectFees']!(await usdc.getAddress());
    const after = (await lab.inspect([])).assets[1];
    assert.equal(await usdc['balanceOf']!(lab.collector), before.fees);
    assert.equal(after.fees, 0n);
    assert.equal(after.held - after.booked, 777n);
    assert.equal(await refusalOf((await lab.as(stranger))['collectFees']!(await usdc.getAddress())), 'NothingToPay');
  });
});
