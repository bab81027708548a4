import assert from 'node:assert/strict';
import { type Contract, id } from 'ethers';
import { encodeBatchContent } from '../../src/chain/batch-codec.ts';
import type { Address, Hash } from '../../src/domain/units.ts';
import { refusalOf, undoAfterEach } from './support/lab-tests.ts';
import {
  createUser,
  EXIT_DELAY,
  GRACE,
  type LabUser,
  PLENTY,
  signCompact,
  signLong,
  TIMELOCK_DELAY,
  VaultLab,
  vaultInterface,
} from './support/vault-lab.ts';

const DAY = 86_400;
const ALL_MARKETS = 1n << 255n;
/** Of the vault's word of progress, whose second 32 bits are the epoch; docs/contracts-reference.md has the layout. */
const PROGRESS_SLOT = 1;

describe('governance and keys', () => {
  const [alice, bob, key, thief] = ['alice', 'bob', 'key', 'thief'].map(createUser) as [
    LabUser,
    LabUser,
    LabUser,
    LabUser,
  ];
  let lab: VaultLab;
  let guardian: Contract;
  const trade = async () => ({ taker: await lab.order(alice), maker: await lab.order(bob, { side: 'sell' }), size: 1 });

  before(async () => {
    lab = await VaultLab.create();
    guardian = lab.vault.connect(lab.guardian) as Contract;
    for (const user of [alice, bob]) for (const asset of [0, 1, 2]) await lab.fund(user, asset, PLENTY);
  });
  undoAfterEach(() => lab);

  it('refuses delays out of order: 0 < grace < exit delay < timelock', async () => {
    const { vault, digester, deployedAt } = lab;
    for (const [grace, exitDelay, timelockDelay] of [
      [0, 2, 3],
      [2, 2, 3],
      [1, 3, 3],
      [3, 2, 1],
    ]) {
      assert.equal(await refusalOf(lab.deployVault({ grace, exitDelay, timelockDelay })), 'BadDelays');
    }
    Object.assign(lab, { vault, digester, deployedAt });
  });

  it('nobody but governance may govern, nobody but the guardian may guard', async () => {
    const token = await lab.tokens[0]!.getAddress();
    const outsider = await lab.as(thief);
    const calls: [string, unknown[]][] = [
      ['listAsset', [token, 1, 1, 18, 'X']],
      ['listMarket', [token, token, 1, 1, 1, 1]],
      ['delistMarket', [0]],
      ['setFees', [0, 0]],
      ['setOutflowLimit', [token, 0, 0]],
      ['registerEngineKey', [thief.address]],
      ['extendPause', [1]],
      ['setGuardian', [thief.address]],
      ['transferGovernance', [thief.address]],
    ];
    for (const [name, args] of calls) {
      for (const caller of [outsider, guardian]) {
        assert.equal(await refusalOf(caller[name]!(...args)), 'Unauthorized', name);
      }
    }
    for (const name of ['revokeEngineKey', 'pause', 'unpause'])
      assert.equal(await refusalOf(outsider[name]!()), 'Unauthorized', name);
  });

  it('governance goes only to a timelock of at least the delay, and then nothing is sooner', async () => {
    const deploy = (delay: number) =>
      lab.deploy('VaultTimelock.sol/VaultTimelock', [delay, [lab.deployer.address], [lab.deployer.address]]);
    assert.equal(
      await refusalOf(lab.vault['transferGovernance']!((await deploy(TIMELOCK_DELAY - 1)).target)),
      'TimelockTooShort',
    );
    assert.equal(await refusalOf(lab.vault['transferGovernance']!(thief.address)), 'BadAddress');
    const timelock = await deploy(TIMELOCK_DELAY);
    await lab.vault['transferGovernance']!(timelock.target);
    assert.equal(await refusalOf(lab.vault['setFees']!(1, 1)), 'Unauthorized');
    const request = vaultInterface.encodeFunctionData('setFees', [1, 1]);
    const operation = [lab.vault.target, 0, request, id(''), id('salt')].map((value, i) =>
      i === 3 ? `0x${'00'.repeat(32)}` : value,
    );
    await assert.rejects(timelock['schedule']!(...operation, TIMELOCK_DELAY - 1));
    await timelock['schedule']!(...operation, TIMELOCK_DELAY);
    await lab.advance(TIMELOCK_DELAY - 5);
    await assert.rejects(timelock['execute']!(...operation));
    await lab.advance(5);
    await timelock['execute']!(...operation);
    // Not even the timelock itself can go below its floor.
    const lower = timelock.interface.encodeFunctionData('updateDelay', [1]);
    const own = [timelock.target, 0, lower, `0x${'00'.repeat(32)}`, id('lower')];
    await timelock['schedule']!(...own, TIMELOCK_DELAY);
    await lab.advance(TIMELOCK_DELAY);
    await timelock['execute']!(...own);
    assert.equal(await timelock['getMinDelay']!(), BigInt(TIMELOCK_DELAY));
  });

  it('one immutable quantum per asset, one immutable market per pair until its orders have died out', async () => {
    const [weth, usdc] = [await lab.tokens[0]!.getAddress(), await lab.tokens[1]!.getAddress()];
    assert.equal(await refusalOf(lab.vault['listAsset']!(weth, 1, 1, 18, 'WETH')), 'AssetListedAlready');
    const token = await lab.deploy('mocks/TestToken.sol/TestToken', ['N', 'N', 18]);
    for (const quantum of [0, 2, 11, 10n ** 18n + 1n]) {
      assert.equal(await refusalOf(lab.vault['listAsset']!(token.target, quantum, 1, 18, 'N')), 'BadParameter');
    }
    assert.equal(await refusalOf(lab.vault['listAsset']!(thief.address, 1, 1, 18, 'N')), 'BadAddress');
    const again = [weth, usdc, 1, 1, 10, 10] as const;
    assert.equal(await refusalOf(lab.vault['listMarket']!(...again)), 'MarketListedAlready');
    await lab.vault['delistMarket']!(0);
    assert.equal(await refusalOf(lab.vault['delistMarket']!(0)), 'UnknownMarket');
    await lab.advance(30 * DAY + GRACE - 5);
    assert.equal(await refusalOf(lab.vault['listMarket']!(...again)), 'MarketListedAlready');
    await lab.advance(6);
    await lab.vault['listMarket']!(...again);
    const { lotQuanta } = await lab.vault['marketState']!(5);
    assert.equal(lotQuanta, 1n);
  });

  it('a market’s largest order at its highest price stays below 2^53 quanta', async () => {
    const [a, b] = [await lab.tokens[3]!.getAddress(), await lab.tokens[0]!.getAddress()];
    assert.equal(await refusalOf(lab.vault['listMarket']!(a, b, 1, 2 ** 20, 2 ** 20, 2 ** 13)), 'BadParameter');
    assert.equal(await refusalOf(lab.vault['listMarket']!(a, b, 2 ** 30, 1, 2 ** 23, 1)), 'BadParameter');
    assert.equal(await refusalOf(lab.vault['listMarket']!(a, a, 1, 1, 1, 1)), 'BadAddress');
    await lab.vault['listMarket']!(a, b, 1, 2 ** 20, 2 ** 20, 2 ** 12);
  });

  it('fees have a hard cap', async () => {
    assert.equal(await refusalOf(lab.vault['setFees']!(50_001, 0)), 'BadParameter');
    assert.equal(await refusalOf(lab.vault['setFees']!(0, 50_001)), 'BadParameter');
  });

  it('a pause stops settlement and deposits, ends by itself after seven days, and cannot be chained by the guardian', async () => {
    const token = await lab.tokens[1]!.getAddress();
    await guardian['pause']!();
    assert.equal(await refusalOf(lab.settle({ fills: [await trade()] })), 'VaultPaused');
    assert.equal(await refusalOf(lab.vault['deposit']!(token, 1_000, alice.address)), 'VaultPaused');
    assert.equal(
      await refusalOf((await lab.as(alice))['authorizeSessionKey']!(key.address, 2 ** 33, ALL_MARKETS)),
      'VaultPaused',
    );
    assert.equal(await refusalOf(guardian['pause']!()), 'PauseTooSoon');
    await lab.advance(7 * DAY + 1);
    assert.deepEqual((await lab.settle({ fills: [await trade()] })).skips, []);
    assert.equal(await refusalOf(guardian['pause']!()), 'PauseTooSoon');
    await lab.advance(7 * DAY);
    await guardian['pause']!();
    await guardian['unpause']!();
    assert.deepEqual((await lab.settle({ fills: [await trade()] })).skips, []);
    assert.equal(await refusalOf(guardian['unpause']!()), 'BadParameter');
    const now = await lab.now();
    assert.equal(await refusalOf(lab.vault['extendPause']!(now + 31 * DAY)), 'BadParameter');
    await lab.vault['extendPause']!(now + 20 * DAY);
    assert.equal(await refusalOf(lab.settle({})), 'VaultPaused');
  });

  it('engine key stolen: the guardian revokes it at once, the standby key takes over with a higher epoch', async () => {
    const standby = createUser('standby');
    await lab.vault['registerEngineKey']!(standby.address);
    await lab.settle({ fills: [await trade()] });
    await guardian['revokeEngineKey']!();
    assert.equal(await refusalOf(lab.settle({})), 'StaleEpoch');
    assert.equal(await refusalOf(lab.settleBytes(new Uint8Array(9), { epoch: 2 })), 'BadEngineSignature');
    const content = encodeBatchContent(await lab.content({ fills: [await trade()] }));
    assert.equal(await refusalOf(lab.settleBytes(content, { key: standby, epoch: 0 })), 'StaleEpoch');
    await lab.settleBytes(content, { key: standby, epoch: 2 });
    await guardian['revokeEngineKey']!();
    assert.equal((await lab.inspect([])).engineKey, `0x${'00'.repeat(20)}`);
    assert.equal(await refusalOf(lab.settleBytes(content, { key: standby, epoch: 3 })), 'BadEngineSignature');
    assert.equal(await refusalOf(guardian['revokeEngineKey']!()), 'NoEngineKey');
    await lab.vault['registerEngineKey']!(bob.address);
    await lab.settleBytes(new Uint8Array(9), { key: bob, epoch: 3 });
  });

  it('engine key stolen: in the last epoch there is the key is revoked all the same, and the next one settles on', async () => {
    await lab.vault['registerEngineKey']!(bob.address);
    const last = 2 ** 32 - 1;
    const { networkHelpers } = lab.connection;
    const vault = await lab.vault.getAddress();
    const progress = BigInt(await networkHelpers.getStorageAt(vault, PROGRESS_SLOT));
    const exhausted = (progress & ~(0xffffffffn << 32n)) | (BigInt(last) << 32n);
    await networkHelpers.setStorageAt(vault, PROGRESS_SLOT, exhausted);
    assert.equal((await lab.inspect([])).epoch, BigInt(last));
    assert.equal(await refusalOf(lab.settleBytes(new Uint8Array(9), { epoch: last + 1 })), 'EpochTooFar');
    await guardian['revokeEngineKey']!();
    assert.equal((await lab.inspect([])).epoch, BigInt(last));
    assert.equal(await refusalOf(lab.settleBytes(new Uint8Array(9), { epoch: last })), 'BadEngineSignature');
    await lab.settleBytes(new Uint8Array(9), { key: bob, epoch: last });
  });

  it('engine key stolen: loss ≤ what users signed', async () => {
    // The thief settles a signed order at the worst price it allows and its maximum fee, and can do nothing else.
    await lab.fund(thief, 0, PLENTY);
    const taker = await lab.order(alice, { priceTicks: 150, sizeLots: 10, maxFeePpm: 2_000 });
    const maker = await lab.order(thief, { side: 'sell', priceTicks: 150, sizeLots: 1_000 });
    const settled = await lab.settle({
      fills: [
        { taker, maker, size: 10, takerFeePpm: 2_000 },
        { taker, maker, size: 1, takerFeePpm: 2_000 },
      ],
    });
    assert.equal(settled.skips.length, 1);
    assert.equal(await lab.balance(alice, 1), PLENTY - 15_000 - 30);
    const forged = await lab.withdrawal(alice, { signer: thief, recipient: thief.address });
    assert.equal((await lab.settle({ withdrawals: [forged] })).withdrawals[0]?.reason, 'bad_signature');
  });

  describe('session keys', () => {
    const sign = async (
      account: Address,
      signer: LabUser,
      nonce: bigint,
      expiry: number,
      which = key,
    ): Promise<Hash> => {
      const message = { account, key: which.address, expiry: BigInt(expiry), nonce };
      return signLong(signer, lab.digester.sessionKey(message)) as Hash;
    };

    it('registered by the owner’s signature, whoever relays it; refused when forged, replayed or stale', async () => {
      const expiry = (await lab.now()) + DAY;
      const relay = await lab.as(thief);
      const register = (signature: string, nonce: number, until = expiry) =>
        relay['registerSessionKey']!(alice.address, key.address, until, nonce, signature);
      assert.equal(await refusalOf(register(await sign(alice.address, thief, 5n, expiry), 5)), 'BadSignature');
      assert.equal(
        await refusalOf(register(await sign(alice.address, alice, 5n, expiry), 5, expiry + 1)),
        'BadSignature',
      );
      await register(await sign(alice.address, alice, 5n, expiry), 5);
      assert.equal(await refusalOf(register(await sign(alice.address, alice, 5n, expiry), 5)), 'StaleSessionNonce');
      assert.equal(await refusalOf(register(await sign(alice.address, alice, 4n, expiry), 4)), 'StaleSessionNonce');
      const compact = signCompact(
        alice,
        lab.digester.sessionKey({ account: alice.address, key: key.address, expiry: BigInt(expiry), nonce: 6n }),
      );
      await register(compact, 6);
      assert.equal(await lab.vault['sessionNonce']!(alice.address), 6n);
      const order = await lab.order(alice, { by: { kind: 'session', key } });
      const maker = await lab.order(bob, { side: 'sell' });
      assert.deepEqual((await lab.settle({ fills: [{ taker: order, maker, size: 1 }] })).skips, []);
    });

    it('a revoked key is not brought back by its old registration', async () => {
      const expiry = (await lab.now()) + DAY;
      const signature = await sign(alice.address, alice, 1n, expiry);
      await lab.vault['registerSessionKey']!(alice.address, key.address, expiry, 1, signature);
      await (await lab.as(alice))['revokeSessionKey']!(key.address);
      const again = lab.vault['registerSessionKey']!(alice.address, key.address, expiry, 1, signature);
      assert.equal(await refusalOf(again), 'StaleSessionNonce');
    });

    it('bound to markets, and to its account', async () => {
      await (await lab.as(alice))['authorizeSessionKey']!(key.address, (await lab.now()) + DAY, 2n);
      const maker = await lab.order(bob, { side: 'sell', lane: 1 });
      const other = await lab.order(bob, { side: 'sell', market: 1, lane: 2 });
      const by = { kind: 'session', key } as const;
      const settled = await lab.settle({
        fills: [
          { taker: await lab.order(alice, { by, lane: 1 }), maker, size: 1 },
          { taker: await lab.order(alice, { by, lane: 2, market: 1 }), maker: other, size: 1 },
        ],
      });
      assert.deepEqual(settled.skips, [{ trade: 0, fault: 'taker', reason: 15 }]);
      const foreign = await lab.settle({
        fills: [{ taker: await lab.order(alice), maker: await lab.order(bob, { side: 'sell', by }), size: 1 }],
      });
      assert.deepEqual(foreign.skips, [{ trade: 0, fault: 'maker', reason: 15 }]);
    });

    it('a valid key can be widened, not narrowed at once; bad masks, keys and expiries are refused', async () => {
      const vault = await lab.as(alice);
      const expiry = (await lab.now()) + DAY;
      await vault['authorizeSessionKey']!(key.address, expiry, 6n);
      assert.equal(await refusalOf(vault['authorizeSessionKey']!(key.address, expiry, 2n)), 'SessionKeyStillValid');
      assert.equal(await refusalOf(vault['authorizeSessionKey']!(key.address, expiry - 1, 6n)), 'SessionKeyStillValid');
      await vault['authorizeSessionKey']!(key.address, expiry + 1, 7n);
      assert.deepEqual(
        [...(await lab.vault['sessionKey']!(alice.address, key.address))],
        [BigInt(expiry + 1 + GRACE), 7n],
      );
      assert.equal(await refusalOf(vault['authorizeSessionKey']!(bob.address, expiry, 0n)), 'BadParameter');
      assert.equal(await refusalOf(vault['authorizeSessionKey']!(bob.address, expiry, 1n << 200n)), 'BadParameter');
      assert.equal(await refusalOf(vault['authorizeSessionKey']!(`0x${'00'.repeat(20)}`, expiry, 1n)), 'BadAddress');
      assert.equal(await refusalOf(vault['authorizeSessionKey']!(bob.address, 5, 1n)), 'BadExpiry');
      assert.equal(await refusalOf(vault['authorizeSessionKey']!(bob.address, 2n ** 41n, 1n)), 'BadExpiry');
    });

    it('an ERC-1271 wallet authorises a session key by signature, or registers its orders', async () => {
      const wallet = await lab.deploy('mocks/Wallets.sol/TestWallet', [alice.address]);
      const account = (await wallet.getAddress()).toLowerCase() as Address;
      await lab.fund({ address: account }, 1, PLENTY);
      const owner = { address: account, key: alice.key };
      const registered = await lab.order(owner, { lane: 1, by: { kind: 'registered' } });
      const maker = () => lab.order(bob, { side: 'sell', lane: 1 });
      const before = await lab.settle({ fills: [{ taker: registered, maker: await maker(), size: 1 }] });
      assert.deepEqual(before.skips, [{ trade: 0, fault: 'taker', reason: 16 }]);
      const request = vaultInterface.encodeFunctionData('registerOrder', [
        account,
        await lab.orderDigest(registered),
        '0x',
      ]);
      await wallet['execute']!(lab.vault.target, 0, request);
      assert.deepEqual((await lab.settle({ fills: [{ taker: registered, maker: await maker(), size: 1 }] })).skips, []);
      const again = { ...registered, by: { kind: 'verified_owner' } as const };
      assert.deepEqual((await lab.settle({ fills: [{ taker: again, maker: await maker(), size: 1 }] })).skips, []);

      const expiry = (await lab.now()) + DAY;
      await lab.vault['registerSessionKey']!(account, key.address, expiry, 1, await sign(account, alice, 1n, expiry));
      const bySession = await lab.order(owner, { lane: 2, by: { kind: 'session', key } });
      assert.deepEqual((await lab.settle({ fills: [{ taker: bySession, maker: await maker(), size: 1 }] })).skips, []);
    });

    it('an EIP-7702 account signs with its own key, whatever code it has', async () => {
      await lab.connection.networkHelpers.setCode(
        alice.address,
        `0xef0100${lab.deployer.address.slice(2).toLowerCase()}`,
      );
      assert.deepEqual((await lab.settle({ fills: [await trade()] })).skips, []);
      await lab.connection.networkHelpers.setCode(alice.address, '0x');
    });
  });

  it('the event sequence is gapless from deployment over every kind of event', async () => {
    const vault = await lab.as(alice);
    const token = await lab.tokens[1]!.getAddress();
    await vault['authorizeSessionKey']!(key.address, (await lab.now()) + DAY, ALL_MARKETS);
    await vault['revokeSessionKey']!(key.address);
    await vault['registerOrder']!(alice.address, id('order'), '0x');
    await vault['cancelAll']!();
    await lab.settle({ fills: [await trade()], withdrawals: [await lab.withdrawal(alice)] });
    await vault['requestExit']!(token);
    await vault['cancelExit']!(token);
    await vault['requestExit']!(token);
    await lab.advance(EXIT_DELAY);
    await vault['exit']!(token, alice.address);
    await lab.vault['collectFees']!(token);
    await lab.vault['setFees']!(1, 1);
    await lab.vault['setOutflowLimit']!(token, 1, 1);
    await lab.vault['setGuardian']!(lab.guardian.address);
    await lab.vault['registerEngineKey']!(bob.address);
    await guardian['revokeEngineKey']!();
    await guardian['pause']!();
    await guardian['unpause']!();
    await lab.vault['delistMarket']!(2);
    const logs = await lab.connection.ethers.provider.getLogs({ address: lab.vault.target as string, fromBlock: 0 });
    const events = logs.map((log) => vaultInterface.parseLog(log)!);
    assert.deepEqual(
      events.map(({ args }) => Number(args['eventSequence'])),
      events.map((_, index) => index + 1),
    );
    const names = new Set(events.map(({ name }) => name));
    const all = vaultInterface.fragments
      .filter(({ type }) => type === 'event')
      .map((fragment) => (fragment as unknown as { name: string }).name);
    assert.deepEqual(
      all.filter((name) => !names.has(name)),
      [],
    );
    assert.equal((await lab.inspect([])).eventSequence, BigInt(events.length));
  });

  it('the domain follows the chain id, and the extension alone governs nothing', async () => {
    assert.equal(await lab.vault['domainSeparator']!(), lab.digester.domainSeparator);
    const extension = lab.vault.attach(await lab.vault['EXTENSION']!()) as Contract;
    assert.equal(await refusalOf((extension.connect(lab.deployer) as Contract)['setFees']!(1, 1)), 'Unauthorized');
  });
});
