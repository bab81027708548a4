/** What went wrong, or was found by auditors, at other exchanges and settlement contracts: one test per finding, named after it. */
import assert from 'node:assert/strict';
import { Contract, type InterfaceAbi, keccak256, TypedDataEncoder, toUtf8Bytes } from 'ethers';
import { network } from 'hardhat';
import { encodeBatchContent } from '../../src/chain/batch-codec.ts';
import { createDigester } from '../../src/chain/digests.ts';
import { vaultAbi } from '../../src/chain/generated/vault.ts';
import { keccakText } from '../../src/chain/keccak.ts';
import type { SkipReasonCode } from '../../src/domain/batches.ts';
import { SKIP_REASONS } from '../../src/domain/batches.ts';
import { packNonce } from '../../src/domain/orders.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Address, Hash, Quanta } from '../../src/domain/units.ts';
import { refusalOf, undoAfterEach } from './support/lab-tests.ts';
import {
  createUser,
  EXIT_DELAY,
  GRACE,
  type LabFill,
  type LabOrder,
  type LabUser,
  PLENTY,
  signCompact,
  VaultLab,
} from './support/vault-lab.ts';

const ZERO: Address = `0x${'00'.repeat(20)}`;
const ORDER_TYPE =
  'Order(address account,string side,address baseToken,uint256 baseAmount,address quoteToken,uint256 quoteAmount,' +
  'string timeInForce,bool postOnly,uint64 nonce,uint64 expiry,uint32 maxFeePpm)';

describe('findings at other exchanges', () => {
  const [alice, bob, mallory] = ['alice', 'bob', 'mallory'].map(createUser) as [LabUser, LabUser, LabUser];
  let lab: VaultLab;

  const usdc = () => lab.tokens[1]!.getAddress();
  const sell = (terms: Partial<LabOrder> = {}) => lab.order(bob, { side: 'sell', ...terms });
  /** `settled`, or the reason for the first fill's skip. */
  const outcome = async (...fills: LabFill[]): Promise<string> => {
    const [skip] = (await lab.settle({ fills })).skips;
    return skip === undefined ? 'settled' : SKIP_REASONS[skip.reason as SkipReasonCode];
  };
  /** The order with a signature over other terms, or by another key. */
  const signedAs = async (
    order: LabOrder,
    signed: Partial<LabOrder>,
    signer: LabUser = order.user,
  ): Promise<LabOrder> => {
    const signature = signCompact(signer, await lab.orderDigest({ ...order, ...signed }));
    return { ...order, by: { kind: 'raw', authorisation: { kind: 'owner', signature } } };
  };
  const leave = async (user: LabUser, recipient: string = user.address): Promise<void> => {
    const vault = await lab.as(user);
    await vault['requestExit']!(await usdc());
    await lab.advance(EXIT_DELAY);
    await vault['exit']!(await usdc(), recipient);
  };

  before(async () => {
    lab = await VaultLab.create();
    for (const user of [alice, bob, mallory]) for (const asset of [0, 1]) await lab.fund(user, asset, PLENTY);
  });
  undoAfterEach(() => lab);

  it('signer ≠ maker', async () => {
    const forgedTaker = await signedAs(await lab.order(alice), {}, mallory);
    assert.equal(await outcome({ taker: forgedTaker, maker: await sell(), size: 1 }), 'bad_signature');
    const forgedMaker = await signedAs(await sell(), {}, mallory);
    assert.equal(await outcome({ taker: await lab.order(alice), maker: forgedMaker, size: 1 }), 'bad_signature');
  });

  it('wrong type hash: the digest that settles is the one that ethers computes from the published types', async () => {
    const order = await lab.order(alice, { lane: 3, timeInForce: 'gtd', postOnly: false });
    const domain = {
      name: 'Tallystick',
      version: '1',
      chainId: 31_337,
      verifyingContract: lab.vault.target as string,
    };
    const fields = ORDER_TYPE.slice('Order('.length, -1)
      .split(',')
      .map((field) => field.split(' '))
      .map(([type, name]) => ({ type: type!, name: name! }));
    const message = {
      account: alice.address,
      side: 'buy',
      baseToken: await lab.tokens[0]!.getAddress(),
      baseAmount: 10n * 1_000_000n * 10n ** 9n,
      quoteToken: await usdc(),
      quoteAmount: 10n * 100n * 10n,
      timeInForce: 'gtd',
      postOnly: false,
      nonce: packNonce(3, order.orderSequence),
      expiry: order.expiry,
      maxFeePpm: order.maxFeePpm,
    };
    const digest = TypedDataEncoder.hash(domain, { Order: fields }, message) as Hash;
    const encoder = TypedDataEncoder.from({ Order: fields });
    assert.equal(
      keccak256(toUtf8Bytes(encoder.encodeType('Order'))),
      `0x${Buffer.from(keccakText(ORDER_TYPE)).toString('hex')}`,
    );
    const taker = {
      ...order,
      by: { kind: 'raw', authorisation: { kind: 'owner', signature: signCompact(alice, digest) } },
    } as const;
    assert.equal(await outcome({ taker, maker: await sell(), size: 1 }), 'settled');
  });

  it('fee not in the hash, nor any other term: a signature holds for exactly the terms that were signed', async () => {
    const others: Partial<LabOrder>[] = [
      { maxFeePpm: 1_999 },
      { priceTicks: 99 },
      { sizeLots: 9 },
      { side: 'sell' },
      { timeInForce: 'gtd' },
      { postOnly: true },
      { lane: 1 },
      { expiry: (await lab.now()) + 5_000 },
      { market: 2 },
      { orderSequence: 1 },
    ];
    for (const signed of others) {
      const taker = await signedAs(await lab.order(alice), signed);
      const why = JSON.stringify(signed);
      assert.equal(await outcome({ taker, maker: await sell(), size: 1 }), 'bad_signature', why);
    }
    assert.equal(
      await outcome({ taker: await signedAs(await lab.order(alice), {}), maker: await sell(), size: 1 }),
      'settled',
    );
  });

  it('zero-address signer: a signature that recovers nothing is nobody’s', async () => {
    const nothing = { kind: 'owner', signature: `0x${'00'.repeat(64)}` } as const;
    const taker = { ...(await lab.order(alice)), by: { kind: 'raw', authorisation: nothing } } as const;
    assert.equal(await outcome({ taker, maker: await sell(), size: 1 }), 'bad_signature');
    const content = encodeBatchContent(
      await lab.content({ fills: [{ taker: await lab.order(alice), maker: await sell(), size: 1 }] }),
    );
    const withoutOwner = Buffer.from(content);
    withoutOwner.fill(0, 11, 31);
    assert.equal(await refusalOf(lab.settleBytes(withoutOwner)), 'MalformedContent');
    const session = { kind: 'session', signature: `0x${'00'.repeat(64)}` } as const;
    const bySession = { ...(await lab.order(alice)), by: { kind: 'raw', authorisation: session } } as const;
    assert.equal(await outcome({ taker: bySession, maker: await sell(), size: 1 }), 'bad_signature');
    const withdrawal = await lab.withdrawal(alice, {
      account: ZERO,
      recipient: mallory.address,
      signature: nothing.signature,
    });
    assert.equal((await lab.settle({ withdrawals: [withdrawal] })).withdrawals[0]?.reason, 'bad_signature');
  });

  it('cached domain separator after a fork: on the other branch another chain id gives another domain', async () => {
    const code = await lab.connection.ethers.provider.getCode(lab.vault.target as string);
    const extension = (await lab.vault['EXTENSION']!()) as string;
    const extensionCode = await lab.connection.ethers.provider.getCode(extension);
    const fork = await network.create({ override: { chainId: 61 } });
    try {
      await fork.networkHelpers.setCode(lab.vault.target as string, code);
      await fork.networkHelpers.setCode(extension, extensionCode);
      const there = new Contract(lab.vault.target as string, vaultAbi as unknown as InterfaceAbi, fork.ethers.provider);
      const address = (lab.vault.target as string).toLowerCase() as Address;
      const expected = createDigester(eip712Domain(61, address)).domainSeparator;
      assert.equal(await there['domainSeparator']!(), expected);
      assert.notEqual(await there['domainSeparator']!(), await lab.vault['domainSeparator']!());
      // The extension signs session keys under the same domain: a registration for the first chain is nothing here.
      const [signer] = await fork.ethers.getSigners();
      const registration = { account: alice.address, key: bob.address, expiry: 4_000_000_000n, nonce: 1n };
      const elsewhere = signCompact(alice, lab.digester.sessionKey(registration));
      const here = signCompact(alice, createDigester(eip712Domain(61, address)).sessionKey(registration));
      const register = (signature: string) =>
        (there.connect(signer as never) as Contract)['registerSessionKey']!(
          alice.address,
          bob.address,
          4_000_000_000n,
          1,
          signature,
        );
      assert.equal(await refusalOf(register(elsewhere)), 'BadSignature');
      assert.equal(await refusalOf(register(here)), undefined);
    } finally {
      await fork.close();
    }
  });

  it('two accounts with identical terms colliding: each fills its own order', async () => {
    const terms = { orderSequence: await lab.nextSequence(), expiry: (await lab.now()) + 9_000, sizeLots: 4 };
    const [first, second] = [await lab.order(alice, terms), await lab.order(mallory, terms)];
    assert.notEqual(await lab.orderDigest(first), await lab.orderDigest(second));
    const maker = await sell({ sizeLots: 100 });
    assert.equal(await outcome({ taker: first, maker, size: 4 }, { taker: second, maker, size: 4 }), 'settled');
    assert.equal(await outcome({ taker: second, maker, size: 1 }), 'overfilled');
    for (const user of [alice, mallory]) assert.equal(await lab.balance(user, 0), PLENTY + 4_000_000);
  });

  it('same nonce with different content: together they fill no more than one of them', async () => {
    const order = await lab.order(alice, { sizeLots: 10 });
    const maker = await sell({ sizeLots: 100 });
    assert.equal(await outcome({ taker: order, maker, size: 10 }), 'settled');
    for (const other of [{ sizeLots: 9 }, { priceTicks: 101 }, { maxFeePpm: 1_500 }])
      assert.equal(
        await outcome({ taker: { ...order, ...other }, maker, size: 1 }),
        'overfilled',
        JSON.stringify(other),
      );
  });

  it('remaining == 0 meaning both new and filled: a filled order is full for ever', async () => {
    for (const lane of [0, 4]) {
      const order = await lab.order(alice, { lane, sizeLots: 3 });
      const maker = await sell({ lane, sizeLots: 100 });
      assert.equal(await outcome({ taker: order, maker, size: 3 }), 'settled');
      assert.equal(await outcome({ taker: order, maker, size: 1 }), 'overfilled');
      assert.equal(await outcome({ taker: order, maker, size: 3 }), 'overfilled');
    }
  });

  it('re-opened orders after clean-up: neither a lane’s next order nor an exit opens a filled one again', async () => {
    const old = await lab.order(alice, { sizeLots: 3 });
    const maker = await sell({ sizeLots: 1_000 });
    assert.equal(await outcome({ taker: old, maker, size: 3 }), 'settled');
    const next = await lab.order(alice, { sizeLots: 1 });
    assert.equal(await outcome({ taker: next, maker, size: 1 }), 'settled');
    assert.equal(await outcome({ taker: old, maker, size: 3 }), 'superseded');
    await leave(alice);
    await lab.fund(alice, 1, PLENTY);
    assert.equal(await outcome({ taker: next, maker: await sell(), size: 1 }), 'cancelled');
    assert.equal(await outcome({ taker: old, maker: await sell(), size: 3 }), 'cancelled');
  });

  it('lower nonce after a higher: refused in its own lane, untouched in every other', async () => {
    const [low, otherLane] = [await lab.order(alice, { lane: 2 }), await lab.order(alice, { lane: 7 })];
    const high = await lab.order(alice, { lane: 2 });
    const maker = await sell({ sizeLots: 100 });
    assert.equal(await outcome({ taker: high, maker, size: 1 }), 'settled');
    assert.equal(await outcome({ taker: low, maker, size: 1 }), 'superseded');
    assert.equal(await outcome({ taker: otherLane, maker, size: 1 }), 'settled');
  });

  it('same order twice in a batch, beyond its size: the second fill is skipped', async () => {
    const order = await lab.order(alice, { sizeLots: 5 });
    const maker = await sell({ sizeLots: 100 });
    const settled = await lab.settle({ fills: [3, 3, 2].map((size) => ({ taker: order, maker, size })) });
    assert.deepEqual(
      settled.skips.map(({ trade }) => trade),
      [1],
    );
    assert.equal(await lab.balance(alice, 0), PLENTY + 5_000_000);
  });

  it('dust fills: nothing is bought for nothing, and rounding never favours whoever splits', async () => {
    assert.equal(
      await outcome({ taker: await lab.order(alice), maker: await sell({ priceTicks: 0 }), size: 1 }),
      'zero_size',
    );
    assert.equal(await outcome({ taker: await lab.order(alice), maker: await sell(), size: 0 }), 'zero_size');
    const taker = await lab.order(alice, { sizeLots: 10 });
    const maker = await sell({ sizeLots: 10 });
    const fills = Array.from({ length: 10 }, () => ({ taker, maker, size: 1, takerFeePpm: 0, makerFeePpm: 0 }));
    assert.equal(await outcome(...fills), 'settled');
    // Ten fills of one lot cost exactly what one of ten lots costs: matching never rounds.
    assert.equal(await lab.balance(alice, 1), PLENTY - 10 * 100 * 10);
  });

  it('unsigned 20 % fee: neither more than was signed, nor more than 5 % even if it was', async () => {
    const fill = async (signed: number, taken: number): Promise<LabFill> => ({
      taker: await lab.order(alice, { maxFeePpm: signed }),
      maker: await sell(),
      size: 1,
      takerFeePpm: taken,
    });
    assert.equal(await outcome(await fill(1_000, 1_001)), 'fee_too_high');
    assert.equal(await outcome(await fill(50_001, 10)), 'invalid_order');
    assert.equal(await outcome(await fill(60_000, 60_000)), 'invalid_order');
    assert.equal(await refusalOf(lab.vault['setFees']!(50_001, 0)), 'BadParameter');
    assert.equal(await outcome(await fill(50_000, 50_000)), 'settled');
  });

  it('delay of a week on user cancellation: it binds within GRACE, and nobody can put it off', async () => {
    const order = await lab.order(alice);
    await (lab.vault.connect(lab.guardian) as Contract)['pause']!();
    await (await lab.as(alice))['cancelAll']!();
    await (lab.vault.connect(lab.guardian) as Contract)['unpause']!();
    await lab.advance(GRACE);
    assert.equal(await outcome({ taker: order, maker: await sell(), size: 1 }), 'cancelled');
  });

  it('transfers into an exited wallet: what comes after an exit can be traded, withdrawn, and left with again', async () => {
    await leave(alice);
    await lab.fund(alice, 1, 5_000);
    const taker = await lab.order(alice, { sizeLots: 1 });
    assert.equal(await outcome({ taker, maker: await sell(), size: 1 }), 'settled');
    const withdrawal = await lab.withdrawal(alice, { amount: 100 as Quanta, fee: 0 as Quanta });
    assert.equal((await lab.settle({ withdrawals: [withdrawal] })).withdrawals[0]?.reason, 'executed');
    const left = await lab.balance(alice, 1);
    const recipient = createUser('after the second exit').address;
    await leave(alice, recipient);
    assert.equal(Number(await lab.tokens[1]!['balanceOf']!(recipient)), left);
  });

  it('exit of system accounts: collector, engine, governance and the vault itself have nothing but what they deposited', async () => {
    await lab.settle({ fills: [{ taker: await lab.order(alice), maker: await sell(), size: 5 }] });
    const before = (await lab.inspect([])).assets[1];
    assert.ok(before.fees > 0n);
    for (const address of [
      lab.collector,
      lab.engine.address,
      lab.deployer.address as Address,
      lab.vault.target as Address,
    ]) {
      const vault = await lab.as({ address });
      await vault['requestExit']!(await usdc());
      await lab.advance(EXIT_DELAY);
      assert.equal(await refusalOf(vault['exit']!(await usdc(), bob.address)), 'NothingToPay', address);
    }
    const after = (await lab.inspect([])).assets[1];
    assert.deepEqual([after.fees, after.booked, after.held], [before.fees, before.booked, before.held]);
  });

  it('upgrade that leaves a stale pointer: code and extension are fixed, no function replaces either', async () => {
    const names = lab.vault.interface.fragments.flatMap((part) => ('name' in part ? [String(part.name)] : []));
    assert.ok(names.length > 60);
    assert.deepEqual(
      names.filter((name) => /upgrade|implementation|setExtension|initialize|proxy/i.test(name)),
      [],
    );
    const code = await lab.connection.ethers.provider.getCode((await lab.vault['EXTENSION']!()) as string);
    // Opcodes that could end or swap it: none of SELFDESTRUCT, DELEGATECALL or CALLCODE among the extension's instructions.
    assert.deepEqual(
      instructions(code).filter((op) => op === 0xff || op === 0xf4 || op === 0xf2),
      [],
    );
    const vaultCode = await lab.connection.ethers.provider.getCode(lab.vault.target as string);
    const dangerous = instructions(vaultCode).filter((op) => op === 0xff || op === 0xf2 || op === 0xf4);
    assert.deepEqual(dangerous, [0xf4], 'the vault delegates in one place: to its extension');
  });

  it('instant operator rotation: a new engine key only stands by; it acts when the guardian revokes the one before', async () => {
    await lab.vault['registerEngineKey']!(mallory.address);
    const content = encodeBatchContent(await lab.content({}));
    assert.equal(await refusalOf(lab.settleBytes(content, { key: mallory, epoch: 9 })), 'BadEngineSignature');
    await lab.settleBytes(content);
    const names = lab.vault.interface.fragments.flatMap((part) => ('name' in part ? [String(part.name)] : []));
    assert.deepEqual(names.filter((name) => name.endsWith('EngineKey') && /^[a-z]/.test(name)).sort(), [
      'registerEngineKey',
      'revokeEngineKey',
    ]);
  });

  it('pause that blocks exits: requests, exits and cancellations go on, the longest pause included', async () => {
    await lab.vault['extendPause']!((await lab.now()) + 30 * 86_400);
    const vault = await lab.as(alice);
    await vault['cancelAll']!();
    await leave(alice);
    assert.equal(await lab.balance(alice, 1), 0);
    await vault['requestExit']!(await lab.tokens[0]!.getAddress());
    await vault['cancelExit']!(await lab.tokens[0]!.getAddress());
  });

  it('donations counted as surplus, or credited: tokens sent to the vault are nobody’s, before, during and after a deposit', async () => {
    const token = lab.tokens[1]!;
    const before = (await lab.inspect([])).assets[1];
    await token['mint']!(lab.vault.target, 5_000);
    await lab.fund(alice, 1, 10);
    await token['mint']!(lab.vault.target, 1);
    const after = (await lab.inspect([])).assets[1];
    assert.equal(await lab.balance(alice, 1), PLENTY + 10);
    assert.equal(after.booked - before.booked, 10n);
    assert.equal(after.held - before.held, 5_011n);
    assert.equal(after.fees, before.fees);
  });

  it('receive hooks that burn the batch’s gas: one recipient’s cost has a cap, and the others are paid', async () => {
    await (await lab.as(alice))['depositEther']!(alice.address, { value: 10n ** 18n });
    const burner = createUser('burns all gas it is given').address;
    const looper = createUser('never ends').address;
    await lab.connection.networkHelpers.setCode(burner, '0xfe');
    await lab.connection.networkHelpers.setCode(looper, '0x5b600056');
    const native = { asset: 0, native: true, amount: 1_000 as Quanta } as const;
    const recipients = [burner, looper, createUser('an ordinary one').address];
    const withdrawals = [];
    for (const [lane, recipient] of recipients.entries())
      withdrawals.push(await lab.withdrawal(alice, { ...native, lane, recipient }));
    const balance = await lab.balance(alice, 0);
    const settled = await lab.settle({ withdrawals });
    assert.deepEqual(
      settled.withdrawals.map(({ reason }) => reason),
      ['transfer_failed', 'transfer_failed', 'executed'],
    );
    assert.equal(await lab.balance(alice, 0), balance - 1_000);
    assert.ok(settled.gasUsed < 600_000n, `${settled.gasUsed}`);
  });

  it('batches that return success while skipping silently: every skip is in the event, with its fill, fault and reason', async () => {
    const good = { taker: await lab.order(alice), maker: await sell({ sizeLots: 50 }), size: 1 };
    const cheap = { taker: await lab.order(mallory, { priceTicks: 1 }), maker: good.maker, size: 1 };
    const none = {
      taker: await lab.order(mallory, { lane: 1 }),
      maker: await sell({ lane: 1, priceTicks: 0 }),
      size: 1,
    };
    const { skips } = await lab.settle({ fills: [cheap, good, none] });
    assert.deepEqual(
      skips.map(({ trade, fault, reason }) => [trade, fault, SKIP_REASONS[reason as SkipReasonCode]]),
      [
        [0, 'taker', 'mispriced'],
        [2, 'taker', 'zero_size'],
      ],
    );
  });
});

/** Opcodes of a contract's code, without what PUSH carries and without the compiler's trailing metadata. */
function instructions(code: string): number[] {
  const bytes = Buffer.from(code.slice(2), 'hex');
  const end = bytes.length - 2 - bytes.readUInt16BE(bytes.length - 2);
  const found: number[] = [];
  for (let at = 0; at < end; at++) {
    const opcode = bytes[at] as number;
    found.push(opcode);
    if (opcode >= 0x60 && opcode <= 0x7f) at += opcode - 0x5f;
  }
  return found;
}
