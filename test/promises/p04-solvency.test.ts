/** P4: per asset, the sum of balances on the vault's books is at most what the vault holds, whatever happens and whatever the engine signs. */
import assert from 'node:assert/strict';
import { encodeFunctionData, type Hex, parseAbi } from 'viem';
import { useLocalNode } from '../support/local-node.ts';
import { seededRandom } from '../support/random.ts';
import { LAB_EXIT_DELAY, type LabUser } from '../support/settlement-lab.ts';
import { type Fill, HandMadeBatches, type SignedOrder } from './support/hand-made-batches.ts';

const SEED = Number(process.env['SEED'] ?? 4_711);
const STEPS = 36;
const TRANSFER = parseAbi(['function transfer(address to, uint256 amount) returns (bool)']);

describe(`P4 Solvency (SEED=${SEED})`, () => {
  const node = useLocalNode();
  const random = seededRandom(SEED);
  const pick = <Value>(values: readonly Value[]): Value => values[random(values.length)] as Value;
  let batches: HandMadeBatches;
  let users: LabUser[];

  before(async () => {
    batches = await HandMadeBatches.on(node.node());
    users = await batches.users(['ann', 'ben', 'cleo', 'dan'], 50_000_000);
  });

  /** The vault's own sum is held against the accounts one by one, and both against the token. */
  async function assertSolvent(after: string): Promise<void> {
    const { accounts, assets } = await batches.books(users);
    for (const { asset, booked, fees, quantumUnits, heldUnits } of assets) {
      const owned = accounts.reduce((sum, { balances }) => sum + (balances[asset] ?? 0), 0);
      assert.equal(owned + fees, booked, `after ${after}: balances and fees of asset ${asset} are what is booked`);
      assert.ok(BigInt(booked) * quantumUnits <= heldUnits, `after ${after}: asset ${asset} is covered`);
    }
  }

  /** Anything the engine might sign: unfunded, oversized, self-trading, overcharging, both roles at once. */
  async function randomFills(): Promise<Fill[]> {
    const orders: SignedOrder[] = [];
    for (let count = 0; count < 6; count++) {
      orders.push(
        await batches.order(pick(users), {
          side: count % 2 === 0 ? 'buy' : 'sell',
          market: random(2),
          sizeLots: 1 + random(100_000),
          priceTicks: 1 + random(1_000_000),
          maxFeePpm: pick([0, 1_000, 50_000]),
          timeInForce: pick(['gtc', 'gtc', 'ioc', 'fok']),
        }),
      );
    }
    const huge = await batches.order(users[0] as LabUser, { sizeLots: 100_000, priceTicks: 1_000_000 });
    const modest = await Promise.all(
      (['buy', 'sell'] as const).map((side, index) => batches.order(users[index] as LabUser, { side, sizeLots: 40 })),
    );
    const fills = Array.from({ length: 8 }, () => ({
      taker: pick(orders),
      maker: pick(orders),
      size: pick([0, 1, 7, 100_000, 2 ** 40 - 1]),
      takerFeePpm: pick([0, 500, 1_000, 65_535]),
      makerFeePpm: pick([0, 500, 1_000]),
    }));
    const [buy, sell] = modest as [SignedOrder, SignedOrder];
    return [
      ...fills,
      { taker: huge, maker: sell, size: 40 },
      { taker: buy, maker: sell, size: 30, takerFeePpm: 1_000, makerFeePpm: 500 },
    ];
  }

  async function randomStep(): Promise<string> {
    const { lab } = batches;
    const user = pick(users);
    const token = pick(lab.tokens);
    switch (random(6)) {
      case 0:
        await lab.deposit(user, random(3), 1 + random(10_000_000));
        return 'a deposit';
      case 1: {
        const amount = pick([1, 1_000, 20_000_000, 2 ** 40]);
        const asset = random(3);
        await batches.settle(
          [],
          [
            await batches.withdrawal(user, { asset, amount, lane: 1 + random(9), recipient: pick(users).address }),
            await batches.withdrawal(user, { asset, amount, lane: 10 + random(9) }),
          ],
        );
        return 'withdrawals';
      }
      case 2:
        await lab.send(user.address, lab.vault, 'requestExit', [token]).catch(() => undefined);
        await lab.passTime(LAB_EXIT_DELAY);
        await lab.send(user.address, lab.vault, 'exit', [token, user.address]).catch(() => undefined);
        return 'an exit';
      case 3:
        await lab.send(user.address, lab.vault, 'collectFees', [token]).catch(() => undefined);
        return 'collecting fees';
      default:
        await batches.settle(await randomFills());
        return 'a batch';
    }
  }

  it('P4: holds after every step of random deposits, trades good and bad, withdrawals, exits and fee collections', async () => {
    await assertSolvent('the first deposits');
    for (let step = 0; step < STEPS; step++) await assertSolvent(`step ${step}, ${await randomStep()}`);
  });

  it('P4: nobody spends what they do not have: the fill is skipped, the one that they can pay is not', async () => {
    const poor = await batches.lab.createFundedUser('poor');
    users.push(poor);
    const [, ben] = users as [LabUser, LabUser];
    await batches.lab.deposit(ben, 0, 50_000_000);
    await batches.lab.deposit(poor, 1, 10_010);
    const trade = async (size: number, takerFeePpm: number): Promise<Fill> => ({
      taker: await batches.order(poor),
      maker: await batches.order(ben, { side: 'sell' }),
      size,
      takerFeePpm,
    });
    // Ten lots cost 10,000 quanta; the fee on top of the first would be paid with money that is not there.
    const { fills } = await batches.settle([await trade(10, 1_000), await trade(1, 0)]);
    assert.deepEqual(fills, ['settled', 'insufficient_balance']);
    const sells = await batches.order(poor, { side: 'sell', sizeLots: 50 });
    assert.deepEqual(
      (await batches.settle([{ taker: sells, maker: await batches.order(ben, { sizeLots: 50 }), size: 11 }])).fills,
      ['insufficient_balance'],
    );
    await assertSolvent('spending too much');
  });

  it('P4: holds for arbitrary bytes that the engine signs', async () => {
    const honest = batches.content(await randomFills(), [
      await batches.withdrawal(pick(users), { amount: 500, lane: 30 }),
    ]);
    let settled = 0;
    for (let round = 0; round < 40; round++) {
      const bytes = honest.slice(0, random(4) === 0 ? random(honest.length) : honest.length);
      for (let change = random(4); change >= 0; change--) bytes[random(bytes.length)] = random(256);
      await batches.lab.settle(bytes).then(
        () => settled++,
        () => undefined,
      );
    }
    assert.ok(settled > 0, 'at least one of them was well formed');
    await assertSolvent('arbitrary bytes');
  });

  it('P4: tokens sent to the vault without a deposit belong to nobody, and cannot be spent', async () => {
    const { lab } = batches;
    const [ann] = users as [LabUser];
    const [, token] = lab.tokens as [unknown, LabUser['address']];
    const before = await batches.balances(ann);
    await lab.deposit(ann, 1, 1);
    await lab.send(lab.deployer, token, 'mint', [ann.address, 1_000n]);
    const data: Hex = encodeFunctionData({ abi: TRANSFER, functionName: 'transfer', args: [lab.vault, 1_000n] });
    await lab.sendRaw(ann.address, token, data);
    assert.equal((await batches.balances(ann))[1], (before[1] ?? 0) + 1);
    await assertSolvent('a gift');
  });
});
