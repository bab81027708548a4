import assert from 'node:assert/strict';
import { encodeBatchContent } from '../../src/chain/batch-codec.ts';
import type { SkipReasonCode } from '../../src/domain/batches.ts';
import { SKIP_REASONS } from '../../src/domain/batches.ts';
import { undoAfterEach } from './support/lab-tests.ts';
import {
  createUser,
  GRACE,
  type LabFill,
  type LabOrder,
  type LabUser,
  PLENTY,
  revertOf,
  type Settled,
  VaultLab,
} from './support/vault-lab.ts';

/** `0:mispriced`, `3:overfilled(maker)` … */
function said(settled: Settled): string[] {
  return settled.skips.map(
    ({ trade, fault, reason }) =>
      `${trade}:${SKIP_REASONS[reason as SkipReasonCode]}${fault === 'maker' ? '(maker)' : ''}`,
  );
}

describe('settlement', () => {
  const [alice, bob, carol, poor] = ['alice', 'bob', 'carol', 'poor'].map(createUser) as [
    LabUser,
    LabUser,
    LabUser,
    LabUser,
  ];
  let lab: VaultLab;

  const buy = (user: LabUser, terms: Partial<LabOrder> = {}) =>
    lab.order(user, { side: 'buy', priceTicks: 100, ...terms });
  const sell = (user: LabUser, terms: Partial<LabOrder> = {}) =>
    lab.order(user, { side: 'sell', priceTicks: 100, ...terms });
  const balances = async () =>
    Promise.all([alice, bob, carol, poor].flatMap((user) => [0, 1, 2, 3, 6].map((asset) => lab.balance(user, asset))));
  /** A buy by alice against a sell by bob, each as altered. */
  const pair = async (
    taker: Partial<LabOrder> = {},
    maker: Partial<LabOrder> = {},
    fill: Partial<LabFill> = {},
  ): Promise<LabFill> => ({
    taker: await buy(alice, taker),
    maker: await sell(bob, maker),
    size: 4,
    ...fill,
  });
  /** Settles one altered pair between two good ones: the bad one is skipped, the good ones are not. */
  const skipped = async (fill: LabFill): Promise<string> => {
    const good = { taker: await buy(carol, { lane: 5 }), maker: await sell(carol, { lane: 6 }) };
    const first = { taker: await buy(carol, { lane: 7 }), maker: await sell(bob, { lane: 7 }), size: 1 };
    const last = { taker: good.taker, maker: await sell(bob, { lane: 8 }), size: 1 };
    const settled = await lab.settle({ fills: [first, fill, last] });
    assert.ok(settled.skips.length === 1 && settled.skips[0]?.trade === 1, said(settled).join());
    return said(settled)[0]!.slice(2);
  };
  /** Nothing changes hands when each fill of the batch is skipped. */
  const allSkipped = async (fills: readonly LabFill[]): Promise<string[]> => {
    const before = await balances();
    const settled = await lab.settle({ fills });
    assert.deepEqual(await balances(), before);
    return said(settled);
  };

  before(async () => {
    lab = await VaultLab.create();
    for (const user of [alice, bob, carol]) for (const asset of [0, 1, 2, 3, 6]) await lab.fund(user, asset, PLENTY);
    await lab.fund(poor, 1, 1_000);
  });

  undoAfterEach(() => lab);

  it('moves base, quote and both fees at the price of the maker', async () => {
    const fill = await pair({ priceTicks: 120 });
    assert.deepEqual((await lab.settle({ fills: [fill] })).skips, []);
    // 4 lots × 100 ticks × 10 quanta; fees of 1,000 and 500 ppm, rounded down.
    assert.equal(await lab.balance(alice, 0), PLENTY + 4_000_000);
    assert.equal(await lab.balance(alice, 1), PLENTY - 4_000 - 4);
    assert.equal(await lab.balance(bob, 0), PLENTY - 4_000_000);
    assert.equal(await lab.balance(bob, 1), PLENTY + 4_000 - 2);
    assert.equal((await lab.inspect([])).assets[1].fees, 6n);
  });

  it('lets a seller take, and settles markets on every combination of pages in engine order', async () => {
    const fills: LabFill[] = [];
    for (const market of [4, 3, 2, 1, 0]) {
      fills.push({
        taker: await sell(alice, { market, lane: market }),
        maker: await buy(bob, { market, lane: market }),
        size: 3,
      });
    }
    assert.deepEqual(said(await lab.settle({ fills })), []);
    assert.equal(await lab.balance(bob, 3), PLENTY + 3_000_000);
    assert.equal(await lab.balance(bob, 6), PLENTY + 3_000);
    assert.equal(await lab.balance(alice, 2), PLENTY - 30_000 + 300 + 300);
  });

  it('fee split across partial fills: each fill rounds down by itself', async () => {
    const { taker, maker } = await pair({ sizeLots: 10 }, { sizeLots: 10 });
    await lab.settle({ fills: [1, 2, 3].map((size) => ({ taker, maker, size, takerFeePpm: 999, makerFeePpm: 499 })) });
    // 1,000, 2,000 and 3,000 quanta at 999 ppm: 0 + 1 + 2; at 499 ppm: 0 + 0 + 1.
    assert.equal(await lab.balance(alice, 1), PLENTY - 6_000 - 3);
    assert.equal(await lab.balance(bob, 1), PLENTY + 6_000 - 1);
  });

  it('same order twice in a batch: fills add up, the table refuses the order a second time', async () => {
    const { taker, maker } = await pair();
    assert.deepEqual(said(await lab.settle({ fills: [6, 6].map((size) => ({ taker, maker, size })) })), [
      '1:overfilled',
    ]);
    const content = await lab.content({ fills: [await pair()] });
    const [first, second] = content.accounts;
    const twice = { ...content, accounts: [first!, { ...second!, account: first!.account }] };
    assert.throws(() => encodeBatchContent(twice), /not above/);
  });

  it('overfill across batches', async () => {
    for (const lane of [0, 3]) {
      const { taker, maker } = await pair({ lane }, { lane });
      await lab.settle({ fills: [{ taker, maker, size: 6 }] });
      assert.deepEqual(await allSkipped([{ taker, maker, size: 5 }]), ['0:overfilled']);
      assert.deepEqual(said(await lab.settle({ fills: [{ taker, maker, size: 4 }] })), []);
      const other = await buy(carol, { lane });
      assert.deepEqual(await allSkipped([{ taker: other, maker, size: 1 }]), ['0:overfilled(maker)']);
    }
  });

  it('lower sequence after a higher one', async () => {
    for (const lane of [0, 3]) {
      const older = await buy(alice, { lane });
      const newer = await buy(alice, { lane });
      const maker = await sell(bob, { lane });
      await lab.settle({ fills: [{ taker: newer, maker, size: 1 }] });
      assert.deepEqual(await allSkipped([{ taker: older, maker, size: 1 }]), ['0:superseded']);
    }
  });

  it('several orders of one lane in one batch, each superseding the one before', async () => {
    const orders = [
      await buy(alice, { lane: 0 }),
      await buy(alice, { lane: 0 }),
      await buy(alice, { lane: 0 }),
    ] as const;
    const maker = await sell(bob, { sizeLots: 50 });
    const fills = [orders[0], orders[1], orders[0], orders[2]].map((taker) => ({ taker, maker, size: 5 }));
    assert.deepEqual(said(await lab.settle({ fills })), ['2:superseded']);
    const lane = await lab.vault['laneState']!(alice.address, 0);
    assert.deepEqual([...lane].slice(0, 2), [BigInt(orders[2].orderSequence), 5n]);
  });

  it('same lane and sequence, other content: fills of both count towards each', async () => {
    for (const lane of [0, 3]) {
      const { taker, maker } = await pair({ lane }, { sizeLots: 100 });
      await lab.settle({ fills: [{ taker, maker, size: 6 }] });
      const twin = { ...taker, priceTicks: taker.priceTicks + 1 };
      assert.deepEqual(await allSkipped([{ taker: twin, maker, size: 5 }]), ['0:overfilled']);
      assert.deepEqual(said(await lab.settle({ fills: [{ taker: twin, maker, size: 4 }] })), []);
    }
  });

  it('mispriced fill', async () => {
    assert.equal(await skipped(await pair({ priceTicks: 99 })), 'mispriced');
    assert.equal(
      await skipped({ taker: await sell(alice, { priceTicks: 101 }), maker: await buy(bob), size: 1 }),
      'mispriced',
    );
  });

  it('maker = taker, also through two session keys', async () => {
    const keys = [createUser('key 1'), createUser('key 2')] as const;
    const vault = await lab.as(alice);
    for (const key of keys) await vault['authorizeSessionKey']!(key.address, (await lab.now()) + 10_000, 1n << 255n);
    const taker = await buy(alice, { lane: 1, by: { kind: 'session', key: keys[0] } });
    const maker = await sell(alice, { lane: 2, by: { kind: 'session', key: keys[1] } });
    assert.equal(await skipped({ taker, maker, size: 1 }), 'self_trade');
    const order = await buy(alice);
    assert.deepEqual(await allSkipped([{ taker: order, maker: order, size: 1 }]), ['0:same_side']);
  });

  it('zero-value fills', async () => {
    assert.equal(await skipped(await pair({}, {}, { size: 0 })), 'zero_size');
    assert.equal(await skipped(await pair({}, { priceTicks: 0 })), 'zero_size');
  });

  it('fee overflow: beyond the signed maximum, beyond the hard cap, beyond the vault’s fees', async () => {
    assert.equal(await skipped(await pair({ maxFeePpm: 999 })), 'fee_too_high');
    assert.equal(await skipped(await pair({}, { maxFeePpm: 499 })), 'fee_too_high(maker)');
    assert.equal(await skipped(await pair({ maxFeePpm: 50_001 })), 'invalid_order');
    await lab.vault['setFees']!(800, 400);
    await lab.advance(GRACE + 1);
    assert.equal(
      await skipped(await pair({}, {}, { takerFeePpm: 801, makerFeePpm: 400 }).then(withinFees)),
      'fee_too_high',
    );
    assert.equal(
      await skipped(await pair({}, {}, { takerFeePpm: 800, makerFeePpm: 401 }).then(withinFees)),
      'fee_too_high(maker)',
    );

    // The good fills around it pay the vault's new fees.
    async function withinFees(fill: LabFill): Promise<LabFill> {
      const settle = lab.settle.bind(lab);
      lab.settle = async (parts) => {
        lab.settle = settle;
        const fills = parts.fills!.map((one) => (one === fill ? one : { ...one, takerFeePpm: 800, makerFeePpm: 400 }));
        return settle({ ...parts, fills });
      };
      return fill;
    }
  });

  it('a lower fee of the vault binds only after GRACE', async () => {
    await lab.vault['setFees']!(0, 0);
    assert.deepEqual(said(await lab.settle({ fills: [await pair()] })), []);
    await lab.advance(GRACE);
    assert.deepEqual(said(await lab.settle({ fills: [await pair()] })), ['0:fee_too_high']);
  });

  it('a second change of fees within GRACE is refused, so that none is forgotten that may still be paid', async () => {
    await lab.vault['setFees']!(40_000, 40_000);
    assert.equal((await revertOf(lab.vault['setFees']!(0, 0)))?.name, 'FeesChangedTooSoon');
    assert.deepEqual(said(await lab.settle({ fills: [await pair({}, {}, { takerFeePpm: 1_000 })] })), []);
    await lab.advance(GRACE);
    await lab.vault['setFees']!(0, 0);
    assert.deepEqual(said(await lab.settle({ fills: [await pair()] })), [], 'matched before the second change');
  });

  it('bad signature: another account’s, another chain’s, high s, zeros', async () => {
    const order = await buy(alice);
    const digest = await lab.orderDigest(order);
    const good = await lab.authorise(order);
    const signature = (good as { signature: `0x${string}` }).signature;
    const s = BigInt(`0x${signature.slice(66)}`);
    const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const parity = s >> 255n;
    const highS = ((1n - parity) << 255n) | (n - (s & ((1n << 255n) - 1n)));
    const bad = [
      ((await lab.authorise({ ...order, user: bob })) as { signature: `0x${string}` }).signature,
      `0x${'00'.repeat(64)}`,
      `${signature.slice(0, 66)}${highS.toString(16).padStart(64, '0')}`,
      `0x${'ff'.repeat(64)}`,
    ] as const;
    assert.ok(digest.length === 66);
    for (const wrong of bad) {
      const taker = {
        ...(await buy(alice)),
        orderSequence: order.orderSequence,
        by: { kind: 'raw', authorisation: { kind: 'owner', signature: wrong } },
      } as LabOrder;
      assert.equal(
        await skipped({ taker: { ...order, ...{ by: taker.by } }, maker: await sell(bob), size: 1 }),
        'bad_signature',
      );
    }
  });

  it('insufficient balance of either side', async () => {
    const maker = await sell(bob);
    assert.equal(await skipped({ taker: await buy(poor), maker, size: 1 }), 'insufficient_balance');
    assert.equal(await skipped({ taker: await sell(poor), maker: await buy(bob), size: 1 }), 'insufficient_balance');
    assert.equal(
      await skipped({ taker: await buy(alice), maker: await sell(poor), size: 1 }),
      'insufficient_balance(maker)',
    );
    // The last quantum of notional plus fee.
    await lab.fund(poor, 1, 1);
    assert.equal(await lab.balance(poor, 1), 1_001);
    assert.deepEqual(
      said(await lab.settle({ fills: [{ taker: await buy(poor), maker: await sell(bob), size: 1 }] })),
      [],
    );
    assert.equal(await lab.balance(poor, 1), 0);
  });

  it('post-only on the taking side, IOC and FOK on the making side', async () => {
    assert.equal(await skipped(await pair({ postOnly: true })), 'post_only_taker');
    assert.equal(await skipped(await pair({}, { timeInForce: 'ioc' })), 'immediate_maker(maker)');
    assert.equal(await skipped(await pair({}, { timeInForce: 'fok' })), 'immediate_maker(maker)');
    assert.deepEqual(said(await lab.settle({ fills: [await pair({ timeInForce: 'gtd' }, { postOnly: true })] })), []);
  });

  it('an IOC order is not filled in two batches', async () => {
    for (const lane of [0, 2]) {
      const { taker, maker } = await pair({ timeInForce: 'ioc', lane }, { lane });
      await lab.settle({
        fills: [
          { taker, maker, size: 2 },
          { taker, maker, size: 2 },
        ],
      });
      assert.deepEqual(await allSkipped([{ taker, maker, size: 1 }]), ['0:immediate_reused']);
    }
  });

  it('fill-or-kill with one bad leg', async () => {
    const fok = await buy(alice, { timeInForce: 'fok', sizeLots: 10 });
    const good = await sell(bob, { sizeLots: 50 });
    const bad = await sell(poor);
    const legs = [
      { taker: fok, maker: good, size: 3 },
      { taker: fok, maker: bad, size: 3 },
      { taker: fok, maker: good, size: 4 },
    ];
    assert.deepEqual(await allSkipped(legs), ['0:fill_or_kill', '1:insufficient_balance(maker)', '2:fill_or_kill']);
    assert.deepEqual([...(await lab.vault['laneState']!(alice.address, 0))].slice(0, 2), [0n, 0n]);
    // Too little, or torn apart by another fill.
    assert.deepEqual(await allSkipped([{ taker: fok, maker: good, size: 9 }]), ['0:fill_or_kill']);
    const other = { taker: await buy(carol), maker: good, size: 1 };
    const torn = await lab.settle({
      fills: [{ taker: fok, maker: good, size: 5 }, other, { taker: fok, maker: good, size: 5 }],
    });
    assert.deepEqual(said(torn), ['0:fill_or_kill', '2:fill_or_kill']);
    const whole = await lab.settle({
      fills: [
        { taker: fok, maker: good, size: 4 },
        { taker: fok, maker: good, size: 6 },
      ],
    });
    assert.deepEqual(said(whole), []);
    assert.equal(await lab.balance(alice, 0), PLENTY + 10_000_000);
  });

  it('an undone fill-or-kill leaves fees, makers and later fills as if it had never been', async () => {
    const fok = await buy(alice, { timeInForce: 'fok', sizeLots: 10 });
    const maker = await sell(bob, { sizeLots: 10 });
    const later = await buy(carol, { sizeLots: 10 });
    const settled = await lab.settle({
      fills: [
        { taker: fok, maker, size: 9 },
        { taker: later, maker, size: 10 },
      ],
    });
    assert.deepEqual(said(settled), ['0:fill_or_kill']);
    assert.equal((await lab.inspect([])).assets[1].fees, 15n);
  });

  it('orders whose terms cannot settle', async () => {
    const now = await lab.now();
    assert.equal(await skipped(await pair({ orderSequence: 0 })), 'invalid_order');
    assert.equal(await skipped(await pair({ orderSequence: (now - lab.deployedAt + 200) * 1_000 })), 'invalid_order');
    assert.equal(await skipped(await pair({ expiry: now + 31 * 86_400 })), 'invalid_order');
    assert.equal(
      await skipped(await pair({ market: 9, by: { kind: 'raw', authorisation: { kind: 'registered' } } })),
      'market_closed',
    );
  });

  it('different markets, same side', async () => {
    const content = await lab.content({
      fills: [{ taker: await buy(alice), maker: await sell(bob, { market: 1 }), size: 1 }],
    });
    // Both list both pages' markets; the fill pairs them all the same.
    assert.deepEqual(said(await lab.settleBytes(encodeBatchContent(content))), ['0:market_mismatch']);
    assert.equal(await skipped({ taker: await buy(alice), maker: await buy(bob), size: 1 }), 'same_side');
  });

  it('bad item first, middle, last, all', async () => {
    for (const bad of [[0], [2], [4], [0, 1, 2, 3, 4]]) {
      const fills: LabFill[] = [];
      for (let index = 0; index < 5; index++) {
        fills.push(await pair({ lane: index + 1, maxFeePpm: bad.includes(index) ? 0 : 2_000 }, { lane: index + 1 }));
      }
      assert.deepEqual(
        said(await lab.settle({ fills })),
        bad.map((index) => `${index}:fee_too_high`),
      );
    }
  });

  it('the tag lets a later batch fill an order without its signature, and nothing else', async () => {
    const { taker, maker } = await pair({ lane: 4 }, { lane: 4, sizeLots: 100 });
    const verified = { kind: 'verified_owner' } as const;
    assert.deepEqual(await allSkipped([{ taker: { ...taker, by: verified }, maker, size: 1 }]), ['0:not_verified']);
    await lab.settle({ fills: [{ taker, maker, size: 1 }] });
    assert.deepEqual(said(await lab.settle({ fills: [{ taker: { ...taker, by: verified }, maker, size: 1 }] })), []);
    const richer = { ...taker, priceTicks: 200, by: verified };
    assert.deepEqual(await allSkipped([{ taker: richer, maker, size: 1 }]), ['0:not_verified']);
    const key = { kind: 'verified_session', key: bob } as const;
    assert.deepEqual(await allSkipped([{ taker: { ...taker, by: key }, maker, size: 1 }]), ['0:not_verified']);
    const lane0 = await pair();
    await lab.settle({ fills: [{ ...lane0, maker, size: 1 }] });
    assert.deepEqual(await allSkipped([{ taker: { ...lane0.taker, by: verified }, maker, size: 1 }]), [
      '0:not_verified',
    ]);
  });

  it('I4, I5: skipped fills write no lane, settled ones write exactly their own', async () => {
    const { taker, maker } = await pair({ lane: 9, maxFeePpm: 0 }, { lane: 9 });
    await allSkipped([{ taker, maker, size: 1 }]);
    assert.deepEqual([...(await lab.vault['laneState']!(alice.address, 9))].slice(0, 2), [0n, 0n]);
    assert.deepEqual([...(await lab.vault['laneState']!(bob.address, 9))].slice(0, 2), [0n, 0n]);
    const fill = await pair({ lane: 9 }, { lane: 9 });
    await lab.settle({ fills: [fill] });
    const expected = [BigInt(fill.taker.orderSequence), 4n];
    assert.deepEqual([...(await lab.vault['laneState']!(alice.address, 9))].slice(0, 2), expected);
  });

  it('what the vault refuses as a whole leaves the batch id free', async () => {
    const content = encodeBatchContent(await lab.content({ fills: [await pair()] }));
    assert.equal((await revertOf(lab.settleBytes(content, { id: 2 })))?.name, 'WrongBatchId');
    await lab.settleBytes(content);
    assert.equal((await revertOf(lab.settleBytes(content, { id: 1 })))?.name, 'WrongBatchId');
  });
});
