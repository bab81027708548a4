/** P1: no balance moves except by a signature of its owner, or of a session key the owner authorised, never for withdrawals. */
import assert from 'node:assert/strict';
import { packNonce } from '../../src/domain/orders.ts';
import { WITHDRAWAL_TYPES } from '../../src/domain/typed-data.ts';
import type { TimestampSeconds } from '../../src/domain/units.ts';
import {
  type ApiExchange,
  BASE_TOKEN,
  DOMAIN,
  QUOTE_TOKEN,
  signedOrder,
  startApiExchange,
  type Wallet,
} from '../api/support/api-exchange.ts';
import { send } from '../api/support/client.ts';
import { rejection } from '../offchain-engine/support/exchange.ts';
import { LabExchange } from '../support/lab-exchange.ts';
import { useLocalNode } from '../support/local-node.ts';
import { LAB_GRACE, type LabUser } from '../support/settlement-lab.ts';
import { type Fill, HandMadeBatches, type SignedOrder } from './support/hand-made-batches.ts';

const ALL_MARKETS = 1n << 255n;

describe('P1 Authority, at the vault', () => {
  const node = useLocalNode();
  let batches: HandMadeBatches;
  let ann: LabUser;
  let ben: LabUser;
  let mallory: LabUser;

  before(async () => {
    batches = await HandMadeBatches.on(node.node());
    [ann, ben, mallory] = (await batches.users(['ann', 'ben', 'mallory'], 1_000_000_000)) as [
      LabUser,
      LabUser,
      LabUser,
    ];
  });

  async function unchanged(act: () => Promise<void>): Promise<void> {
    const before = await batches.balances(ann);
    await act();
    assert.deepEqual(await batches.balances(ann), before);
  }

  it('P1: the engine trades for a session key only when the chain has shown that the owner authorised it', async () => {
    const { lab } = batches;
    const exchange = await LabExchange.open(lab);
    const key = await lab.createFundedUser('a key that the engine hears of');
    const place = async (): Promise<string | undefined> => {
      const lanes = { lane: 30_000 + exchange.rows.length, orderSequence: await batches.nextSequence() };
      const order = await batches.signed(await batches.terms(ben, lanes), key, true);
      const { authorisation, account, ...rest } = order;
      assert.equal(authorisation.kind, 'session');
      const signed = { signer: key.address, digest: lab.orderDigest(order), signature: authorisation.signature };
      const more = { clientOrderId: '', selfTradePrevention: 'cancel_newest' as const, stop: undefined };
      return rejection(
        exchange.commit([{ kind: 'placeOrder', order: { account, ...rest, ...signed, ...more } as never }]),
      );
    };
    assert.equal(await place(), 'session_key_not_valid');
    const expiry = BigInt((await lab.now()) + 86_400);
    await lab.send(ben.address, lab.vault, 'authorizeSessionKey', [key.address, expiry, ALL_MARKETS]);
    await exchange.feed();
    assert.equal(await place(), undefined);
    await lab.send(ben.address, lab.vault, 'revokeSessionKey', [key.address]);
    const events = await exchange.feed();
    assert.ok(
      events.some((event) => event.kind === 'orderDone' && event.reason === 'session_key_ended'),
      'revoking cancels what the key has placed',
    );
    assert.equal(await place(), 'session_key_not_valid');
  });

  it('P1: the vault skips a fill whose order somebody else signed, taking or resting, although the engine signed the batch', async () => {
    await unchanged(async () => {
      const forged = await batches.signed(await batches.terms(ann), mallory);
      const forgedMaker = await batches.signed(await batches.terms(ann, { side: 'sell' }), mallory);
      const fills: Fill[] = [
        { taker: forged, maker: await batches.order(ben, { side: 'sell' }) },
        { taker: await batches.order(ben), maker: forgedMaker },
      ];
      assert.deepEqual((await batches.settle(fills)).fills, ['bad_signature', 'bad_signature']);
    });
  });

  it('P1: the vault skips a fill when any term differs from what the owner signed', async () => {
    const changes: readonly Partial<SignedOrder>[] = [
      { sizeLots: 11 },
      { priceTicks: 101 },
      { maxFeePpm: 1_001 },
      { expiry: (await batches.lab.now()) + 9_000 },
      { orderSequence: await batches.nextSequence() },
      { lane: 40_000 },
      { timeInForce: 'gtd' },
      { market: 1 },
    ];
    await unchanged(async () => {
      const fills: Fill[] = [];
      for (const change of changes) {
        const taker = { ...(await batches.order(ann)), ...change };
        const terms = { side: 'sell' as const, market: taker.market, priceTicks: 90 };
        fills.push({ taker, maker: await batches.order(ben, terms) });
      }
      const honest = { ...(await batches.order(ann, { side: 'sell' })), side: 'buy' as const };
      fills.push({ taker: honest, maker: await batches.order(ben, { side: 'sell' }) });
      const resting = { ...(await batches.order(ann, { postOnly: true, side: 'sell' })), postOnly: false };
      fills.push({ taker: await batches.order(ben), maker: resting });
      assert.deepEqual(
        (await batches.settle(fills)).fills,
        fills.map(() => 'bad_signature'),
      );
    });
  });

  it('P1: a session key signs orders only while its owner allows it, and only in the markets that the owner chose', async () => {
    const key = await batches.lab.createFundedUser('a session key of ann');
    const bySession = async (market = 0): Promise<string> =>
      batches.tryOne(await batches.signed(await batches.terms(ann, { market }), key, true), ben);
    assert.equal(await bySession(), 'session_key_invalid');
    const { lab } = batches;
    const expiry = BigInt((await lab.now()) + 86_400);
    await lab.send(mallory.address, lab.vault, 'authorizeSessionKey', [key.address, expiry, ALL_MARKETS]);
    assert.equal(await bySession(), 'session_key_invalid', 'another account cannot authorise it');
    await lab.send(ann.address, lab.vault, 'authorizeSessionKey', [key.address, expiry, 1n]);
    assert.equal(await bySession(), 'settled');
    assert.equal(await bySession(1), 'session_key_invalid');
    await lab.send(ann.address, lab.vault, 'revokeSessionKey', [key.address]);
    await lab.passTime(LAB_GRACE + 1);
    assert.equal(await bySession(), 'session_key_invalid');
  });

  it('P1: the vault pays a withdrawal on the owner’s signature alone: not on a session key’s, nor anyone else’s, nor over other terms', async () => {
    const { lab } = batches;
    const key = await lab.createFundedUser('another session key of ann');
    const expiry = BigInt((await lab.now()) + 86_400);
    await lab.send(ann.address, lab.vault, 'authorizeSessionKey', [key.address, expiry, ALL_MARKETS]);
    await unchanged(async () => {
      const honest = await batches.withdrawal(ann, { amount: 500, lane: 3 });
      const { withdrawals } = await batches.settle(
        [],
        [
          await batches.withdrawal(ann, { amount: 500, signer: key }),
          await batches.withdrawal(ann, { amount: 500, signer: mallory, recipient: mallory.address }),
          { ...honest, recipient: mallory.address },
          { ...honest, amount: (honest.amount + 1) as typeof honest.amount },
          { ...honest, expiry: (honest.expiry + 1) as TimestampSeconds },
        ],
      );
      assert.deepEqual(withdrawals, Array(5).fill('bad_signature'));
    });
    const { withdrawals } = await batches.settle([], [await batches.withdrawal(ann, { amount: 500 })]);
    assert.deepEqual(withdrawals, ['executed']);
  });

  it('P1: nobody but the owner can ask for an exit, execute it, or cancel orders', async () => {
    const { lab } = batches;
    const [, token] = lab.tokens;
    await unchanged(async () => {
      await lab.send(ann.address, lab.vault, 'requestExit', [token]);
      await lab.passTime(86_400);
      await assert.rejects(
        lab.send(mallory.address, lab.vault, 'exit', [token, mallory.address]),
        /NoExitRequested|revert/,
      );
      await assert.rejects(lab.send(mallory.address, lab.vault, 'cancelExit', [token]), /NoExitRequested|revert/);
    });
  });
});

describe('P1 Authority, at the API', () => {
  let exchange: ApiExchange;
  let ann: Wallet;
  let key: Wallet;
  let stranger: Wallet;

  before(async () => {
    exchange = await startApiExchange();
    ann = await exchange.fundedWallet();
    key = await exchange.fundedWallet();
    stranger = await exchange.fundedWallet();
    await exchange.fact({
      kind: 'sessionKeyRegistered',
      account: ann.address.toLowerCase() as typeof ann.address,
      key: key.address.toLowerCase() as typeof key.address,
      validUntil: (Math.floor(Date.now() / 1000) + 3_600) as TimestampSeconds,
      marketMask: 1n,
    });
    await exchange.projected();
  });
  after(() => exchange.stop());

  const place = (body: unknown) => send(exchange.url, 'POST', '/api/v1/orders', { body });

  it('P1: the API refuses an order that its account did not sign, and the journal never hears of it', async () => {
    const before = exchange.engine.lastSequence;
    const forged = await signedOrder(exchange, ann, { signer: stranger });
    const altered = await signedOrder(exchange, ann, {});
    const otherDomain = { ...DOMAIN, verifyingContract: BASE_TOKEN };
    const bodies = [
      forged,
      { ...altered, order: { ...altered.order, quoteAmount: String(BigInt(altered.order.quoteAmount) / 2n) } },
      await signedOrder(exchange, ann, { domain: otherDomain as typeof DOMAIN }),
    ];
    for (const body of bodies) {
      const answer = await place(body);
      assert.equal(answer.body.code, 'INVALID_SIGNATURE', JSON.stringify(answer.body));
    }
    assert.equal(exchange.engine.lastSequence, before);
  });

  it('P1: the API takes an order of an authorised session key, and never a withdrawal', async () => {
    const placed = await place(await signedOrder(exchange, ann, { signer: key, ticks: 900_000, lane: 9 }));
    assert.equal(placed.status, 201, JSON.stringify(placed.body));
    const before = exchange.engine.lastSequence;
    const withdraw = async (signer: Wallet) => {
      const message = {
        account: ann.address,
        token: QUOTE_TOKEN,
        amount: 5_000_000n,
        recipient: ann.address,
        nonce: packNonce(0, Date.now() - exchange.deployedAtMs),
        expiry: BigInt(Math.floor(Date.now() / 1000) + 3_600),
        maxFee: 0n,
      };
      const types = WITHDRAWAL_TYPES;
      const signature = await signer.signTypedData({ domain: DOMAIN, types, primaryType: 'Withdrawal', message });
      const text = { ...message, amount: '5000000', nonce: String(message.nonce), expiry: String(message.expiry) };
      const body = { withdrawal: { ...text, maxFee: '0' }, signature };
      return send(exchange.url, 'POST', '/api/v1/withdrawals', { body });
    };
    for (const signer of [key, stranger]) {
      const answer = await withdraw(signer);
      assert.equal(answer.body.code, 'INVALID_SIGNATURE', JSON.stringify(answer.body));
    }
    assert.equal(exchange.engine.lastSequence, before);
    const own = await withdraw(ann);
    assert.equal(own.status, 201, JSON.stringify(own.body));
  });
});
