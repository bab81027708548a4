/** Reads over real projections: life cycle of fills and withdrawals, pending deposits, pages, idempotency, statistics. */
import assert from 'node:assert/strict';
import type pg from 'pg';
import type { ChainFact, Command } from '../../src/domain/commands.ts';
import {
  type Address,
  type Hash,
  type JournalSequence,
  lots,
  priceTicks,
  quanta,
  type TimestampMs,
} from '../../src/domain/units.ts';
import type { Engine } from '../../src/offchain-engine/engine.ts';
import { encodeChainFact } from '../../src/storage/chain-facts.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { PostgresJournalReader } from '../../src/storage/journal/read-journal.ts';
import { Projector } from '../../src/storage/projections/projector.ts';
import { accountBalances } from '../../src/storage/queries/balances.ts';
import { findBatch, findBatchIdOfTransaction, listBatches } from '../../src/storage/queries/batches.ts';
import { findJournalRow, journalRows } from '../../src/storage/queries/journal-rows.ts';
import {
  findGenesis,
  listAssets,
  listMarkets,
  listSessionKeys,
  listVolumes,
  listWithdrawalTerms,
} from '../../src/storage/queries/listings.ts';
import { listCandles, listTickers } from '../../src/storage/queries/market-statistics.ts';
import {
  findOrder,
  findOrderByClientId,
  findPlacement,
  listOrders,
  liveLanes,
} from '../../src/storage/queries/orders.ts';
import { exchangeProgress, ProjectionWaiter } from '../../src/storage/queries/progress.ts';
import { reconciliationStatus } from '../../src/storage/queries/reconciliation.ts';
import { listBatchTrades, listFills, listTrades, listTransactionTrades } from '../../src/storage/queries/trades.ts';
import { findWithdrawal, listDeposits, listExits, listWithdrawals } from '../../src/storage/queries/transfers.ts';
import { PostgresSnapshots } from '../../src/storage/snapshots.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { account, ENGINE_FORM, ExchangeScript, USDC, WETH } from './exchange-script.ts';

const TX = `0x${'77'.repeat(32)}` as Hash;
const BLOCK_HASH = `0x${'bb'.repeat(32)}` as Hash;
const page = { limit: 100 };
const bytes = (hex: string): Buffer => Buffer.from(hex.slice(2), 'hex');

describe('queries over the projections', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let script: ExchangeScript;
  let projector: Projector<Engine>;

  beforeEach(async () => {
    database = await createTestDatabase();
    pool = openDatabase({ url: database.url, applicationName: 'test', onIdleError: () => undefined });
    script = new ExchangeScript(pool, 1);
    const journal = new PostgresJournalReader(pool);
    const snapshots = new PostgresSnapshots({ pool });
    projector = new Projector({ pool, journal, snapshots, form: ENGINE_FORM, onProblem: () => undefined, pollMs: 5 });
    projector.start();
    await script.open(3);
  });
  afterEach(async () => {
    await projector.stop();
    await pool.end();
    await database.drop();
  });

  async function projected(): Promise<void> {
    assert.ok(await new ProjectionWaiter(pool).waitFor(script.engine.lastSequence, 10_000));
  }

  /** Account 0 rests a sell of 10 lots, account 1 takes 4 of them. */
  async function oneTrade(): Promise<{ maker: Hash; taker: Hash }> {
    const maker = script.order(0, { side: 'sell', clientOrderId: 'maker' });
    const taker = script.order(1, { sizeLots: lots(4), clientOrderId: 'taker', timeInForce: 'ioc' });
    await script.row([
      { kind: 'placeOrder', order: maker },
      { kind: 'placeOrder', order: taker },
    ]);
    await projected();
    return { maker: maker.digest, taker: taker.digest };
  }

  async function block(number: number, lastEvent: number, final: boolean): Promise<void> {
    await pool.query(
      `INSERT INTO chain_blocks (number, hash, parent_hash, block_time, last_event_sequence, final)
       VALUES ($1, $2, $2, to_timestamp(1700000000), $3, $4)`,
      [
        number,
        number === 50 ? bytes(BLOCK_HASH) : bytes(`0x${number.toString(16).padStart(64, '0')}`),
        lastEvent,
        final,
      ],
    );
  }

  async function chainEvent(sequence: number, blockNumber: number, fact: ChainFact): Promise<void> {
    await pool.query('INSERT INTO chain_events VALUES ($1, $2, $3, 0, $4, $5)', [
      sequence,
      blockNumber,
      bytes(TX),
      fact.kind,
      encodeChainFact(fact),
    ]);
  }

  /** A content whose hash, like the batch hash by which the next one names it, is a number. */
  async function outbox(
    batchId: number,
    { hash = batchId, parent = batchId - 1, sealedAt = 20 }: { hash?: number; parent?: number; sealedAt?: number } = {},
  ): Promise<void> {
    await pool.query(`INSERT INTO batches VALUES ($1, 1, $2, $3, $4, '\\x1234', $5, $5, '\\x55', 1, 0, now())`, [
      batchId,
      sealedAt,
      bytes(TX),
      bytes(numberHash(parent)),
      bytes(numberHash(hash)),
    ]);
    await pool.query(`INSERT INTO settlements (batch_id, state) VALUES ($1, 'sealed') ON CONFLICT DO NOTHING`, [
      batchId,
    ]);
  }
  const numberHash = (value: number): Hash => `0x${value.toString(16).padStart(64, '0')}`;

  it('shows of each id the content that landed, or else the one that is to, after reseals', async () => {
    const settled = { kind: 'batchSettled', skips: [], withdrawals: [] } as const;
    const shown = async (): Promise<string[]> => {
      const { rows } = await listBatches(pool, page);
      for (const { batchId, contentHash } of rows)
        assert.equal((await findBatch(pool, batchId))?.contentHash, contentHash);
      assert.equal((await exchangeProgress(pool)).batchesSealed, rows[0]?.batchId ?? 0);
      return rows.toReversed().map((batch) => `${batch.batchId} ${Number(batch.contentHash)} ${batch.state}`);
    };
    for (const batchId of [1, 2, 3]) await outbox(batchId);
    assert.deepEqual(await shown(), ['1 1 sealed', '2 2 sealed', '3 3 sealed']);
    // Batch 2 cut in two, and a batch sealed since.
    await outbox(2, { hash: 12, parent: 1, sealedAt: 30 });
    await outbox(3, { hash: 13, parent: 12, sealedAt: 30 });
    await outbox(4, { hash: 14, parent: 13, sealedAt: 30 });
    await outbox(5, { hash: 15, parent: 14, sealedAt: 40 });
    const resealed = ['2 12 sealed', '3 13 sealed', '4 14 sealed', '5 15 sealed'];
    assert.deepEqual(await shown(), ['1 1 sealed', ...resealed]);
    for (const number of [51, 52]) await block(number, 102, false);
    await chainEvent(101, 51, { ...settled, batchId: 1, contentHash: numberHash(1) });
    assert.deepEqual(await shown(), ['1 1 included', ...resealed]);
    // The content from before the reseal lands, and what followed it stands again; then a reorganisation lets the other one land.
    await chainEvent(102, 52, { ...settled, batchId: 2, contentHash: numberHash(2) });
    assert.deepEqual(await shown(), ['1 1 included', '2 2 included', '3 3 sealed']);
    await pool.query('DELETE FROM chain_events WHERE event_sequence = 102');
    await chainEvent(102, 52, { ...settled, batchId: 2, contentHash: numberHash(12) });
    assert.deepEqual(await shown(), ['1 1 included', '2 12 included', ...resealed.slice(1)]);
  });

  it('follows a fill from matched to final with its batch, transaction and block', async () => {
    await oneTrade();
    const state = async () => (await listFills(pool, { account: account(1) }, page)).rows[0];
    assert.equal((await state())?.state, 'matched');

    await script.row([script.seal()]);
    await projected();
    assert.deepEqual({ ...(await state()) }.state, 'batched');
    await outbox(1);
    assert.equal((await listBatches(pool, page)).rows[0]?.state, 'sealed');

    await pool.query(`UPDATE settlements SET state = 'submitted', tx_hash = $1`, [bytes(TX)]);
    const submitted = await state();
    assert.equal(submitted?.state, 'submitted');
    assert.equal(submitted?.txHash, TX);

    const settle = script.settle(1000);
    assert.ok(settle?.kind === 'batchSettled');
    const { eventSequence, ...fact } = settle;
    await block(50, eventSequence, false);
    await chainEvent(eventSequence, 50, fact);
    const included = await state();
    assert.equal(included?.state, 'included');
    assert.equal(included?.blockNumber, 50);
    assert.equal(included?.blockHash, BLOCK_HASH);

    await script.row([settle]);
    await projected();
    const final = await state();
    assert.deepEqual(
      {
        state: final?.state,
        role: final?.role,
        side: final?.side,
        batchId: final?.batchId,
        batchIndex: final?.batchIndex,
      },
      { state: 'final', role: 'taker', side: 'buy', batchId: 1, batchIndex: 0 },
    );
    assert.equal((await findBatch(pool, 1))?.state, 'final');
    assert.equal((await listBatchTrades(pool, 1)).length, 1);
    assert.equal((await listTransactionTrades(pool, TX)).length, 1);
    assert.equal(await findBatchIdOfTransaction(pool, TX), 1);
    assert.equal((await listTrades(pool, 0, page)).rows.length, 1);
  });

  it('shows a skipped trade as voided with its reason', async () => {
    await oneTrade();
    await script.row([script.seal()]);
    const settle = script.settle(1);
    assert.ok(settle);
    await script.row([settle]);
    await projected();
    const [fill] = (await listFills(pool, { account: account(0) }, page)).rows;
    assert.deepEqual([fill?.state, fill?.voidReason, fill?.role], ['voided', 'expired', 'maker']);
  });

  it('keeps what an order filled, paid, and why it ended', async () => {
    const { maker, taker } = await oneTrade();
    const resting = await findOrder(pool, maker);
    assert.deepEqual([resting?.status, resting?.filledLots, resting?.remainingLots], ['partially_filled', 4, 6]);
    assert.equal(resting?.filledNotional, 4_000);
    const taken = await findOrder(pool, taker);
    assert.deepEqual([taken?.status, taken?.feesPaid, taken?.reason], ['filled', 1, undefined]);
    assert.deepEqual(await liveLanes(pool, account(0)), [0]);
    await script.row([{ kind: 'cancelAllOrders', account: account(0), market: undefined }]);
    await projected();
    const cancelled = await findOrder(pool, maker);
    assert.deepEqual([cancelled?.status, cancelled?.reason, cancelled?.remainingLots], ['cancelled', 'requested', 0]);
  });

  it('keeps a refused order with its reason, and lets the same bytes be accepted later', async () => {
    const order = script.order(2, {
      side: 'sell',
      sizeLots: lots(10_000_000),
      clientOrderId: 'mine',
      maxFeePpm: 0 as never,
    });
    await script.row([{ kind: 'placeOrder', order }]);
    await projected();
    assert.equal((await findOrder(pool, order.digest))?.reason, 'max_fee_too_low');
    const placement = { account: account(2), digest: order.digest, clientOrderId: 'mine' };
    assert.deepEqual(await findPlacement(pool, placement), { sameDigest: undefined, sameClientOrderId: undefined });

    const parameters = { makerFeePpm: 0, takerFeePpm: 0, minNotional: 0, priceBandPpm: 0 } as never;
    await script.row([
      { kind: 'setMarketParameters', market: 0, parameters },
      { kind: 'placeOrder', order },
      { kind: 'placeOrder', order },
    ]);
    await projected();
    assert.equal((await findOrder(pool, order.digest))?.status, 'open');
    assert.equal((await findOrder(pool, order.digest))?.reason, undefined);
    const found = await findPlacement(pool, { ...placement, digest: `0x${'99'.repeat(32)}` });
    assert.equal(found.sameDigest, undefined);
    assert.equal(found.sameClientOrderId?.digest, order.digest);
    const same = await findPlacement(pool, placement);
    assert.equal(same.sameDigest?.digest, order.digest);
    assert.equal(same.sameClientOrderId?.digest, order.digest);
    assert.equal((await findOrderByClientId(pool, account(2), 'mine'))?.digest, order.digest);
    assert.deepEqual((await listMarkets(pool))[0]?.parameters, { ...Object(parameters), feeTiers: [] });
  });

  it('shows the fee schedule and the terms of withdrawals as operators set them', async () => {
    const tiers = [{ volumeMin: 1_000, makerFeePpm: 1, takerFeePpm: 2 }] as never;
    await projected();
    assert.deepEqual((await listWithdrawalTerms(pool)).get(USDC), { fee: 10, minimum: 0 });
    await script.row([
      { kind: 'setFeeTiers', market: 0, tiers, reason: 'schedule' },
      { kind: 'setWithdrawalTerms', asset: USDC, fee: quanta(3), minimum: quanta(500), reason: 'gas' },
    ]);
    await projected();
    assert.deepEqual((await listMarkets(pool))[0]?.parameters.feeTiers, tiers);
    assert.deepEqual((await listWithdrawalTerms(pool)).get(USDC), { fee: 3, minimum: 500 });
  });

  it('tells trades of the batch they are in after a reseal, and of none when that cut is dropped', async () => {
    const held = async (): Promise<unknown[]> =>
      (
        await pool.query('SELECT trade_id::int AS trade, state, batch_id::int AS batch FROM trades ORDER BY trade_id')
      ).rows.map(({ trade, state, batch }) => `${trade} ${state} ${batch}`);
    await oneTrade();
    await oneTrade();
    await script.row([script.seal()]);
    const contentHashes = [`0x${'ab'.repeat(32)}` as const];
    const reseal: Command = {
      kind: 'resealBatch',
      batchId: 1,
      tradesMax: 1,
      withdrawalsMax: 1,
      contentHashes,
      reason: 'too large',
    };
    await script.row([reseal]);
    await projected();
    assert.deepEqual(await held(), ['1 batched 1', '2 batched 2']);
    await oneTrade();
    await script.row([script.seal()]);
    await projected();
    assert.deepEqual(await held(), ['1 batched 1', '2 batched 2', '3 batched 3']);
    const [contentHash] = contentHashes;
    assert.ok(contentHash !== undefined);
    await script.row([script.fact({ kind: 'batchSettled', batchId: 1, contentHash, skips: [], withdrawals: [] })]);
    await projected();
    assert.deepEqual(await held(), ['1 final 1', '2 final 1', '3 matched null']);
  });

  it('sums settled volume over the 30 days before the one asked for', async () => {
    await oneTrade();
    await script.row([{ kind: 'sealBatch', tradesMax: 100, withdrawalsMax: 10 }]);
    const settle = script.settle(1000);
    assert.ok(settle);
    await script.row([settle]);
    await projected();
    const { rows } = await pool.query<{ account: Buffer; day: number; volume: string }>(
      'SELECT account, day, volume FROM trading_volumes WHERE asset = $1 LIMIT 1',
      [USDC],
    );
    const [row] = rows;
    assert.ok(row !== undefined, 'the script settles trades');
    const owner = `0x${row.account.toString('hex')}` as const;
    const on = async (day: number): Promise<number> =>
      (await listVolumes(pool, owner, day * 86_400_000 + 5)).get(USDC) ?? 0;
    assert.deepEqual(
      [await on(row.day), await on(row.day + 1), await on(row.day + 30), await on(row.day + 31)],
      [0, Number(row.volume), Number(row.volume), 0],
    );
    await pool.query('UPDATE trading_volumes SET volume = $1 WHERE asset = $2', [Number.MAX_SAFE_INTEGER, USDC]);
    await pool.query('INSERT INTO trading_volumes SELECT account, asset, day + 1, volume FROM trading_volumes');
    assert.equal(await on(row.day + 2), Number.MAX_SAFE_INTEGER, 'like the engine’s own sum, it ends there');
  });

  it('pages through orders without missing or repeating one', async () => {
    const orders = Array.from({ length: 25 }, (_, lane) => script.order(0, { lane, priceTicks: priceTicks(900) }));
    await script.row(orders.map((order) => ({ kind: 'placeOrder', order })));
    await projected();
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { rows, nextCursor } = await listOrders(
        pool,
        { account: account(0), statuses: ['open'] },
        { limit: 10, cursor },
      );
      seen.push(...rows.map(({ digest }) => digest));
      cursor = nextCursor;
    } while (cursor !== undefined);
    assert.deepEqual(seen, orders.map(({ digest }) => digest).toReversed());
    await assert.rejects(listOrders(pool, { account: account(0) }, { limit: 10, cursor: '1;x' }), {
      code: 'VALIDATION_FAILED',
    });
    await assert.rejects(listOrders(pool, { account: account(0) }, { limit: 0 }), { code: 'VALIDATION_FAILED' });
  });

  it('shows a deposit as pending until the engine has credited it', async () => {
    await projected();
    const sequence = script.engine.lastChainEventSequence + 1;
    const fact = { kind: 'depositCredited', account: account(0), asset: USDC, amount: quanta(777) } as const;
    await block(60, sequence, false);
    await chainEvent(sequence, 60, fact);
    const before = await accountBalances(pool, account(0));
    assert.equal(before.balances.find(({ asset }) => asset === USDC)?.pendingDeposit, 777);
    const [pending] = (await listDeposits(pool, account(0), { limit: 1 })).rows;
    assert.deepEqual(
      [pending?.state, pending?.amount, pending?.txHash, pending?.confirmations],
      ['pending', 777, TX, 1],
    );

    await script.row([script.fact(fact)]);
    await projected();
    const after = await accountBalances(pool, account(0));
    assert.equal(after.balances.find(({ asset }) => asset === USDC)?.pendingDeposit, 0);
    assert.equal(after.blockNumber, 60);
    assert.equal(after.chainEventSequence, sequence);
    const deposits = (await listDeposits(pool, account(0), page)).rows;
    assert.deepEqual(
      deposits.map(({ state }) => state),
      ['credited', 'credited', 'credited'],
    );
    const stranger = await accountBalances(pool, `0x${'ee'.repeat(20)}`);
    assert.deepEqual(stranger.balances, []);
  });

  it('follows withdrawals to their execution, and failed ones with the reason', async () => {
    const withdrawals = [0, 1, 2].map((number) => script.withdrawal(number));
    await script.row(withdrawals.map((withdrawal) => ({ kind: 'requestWithdrawal', withdrawal })));
    await projected();
    const digest = withdrawals[0]?.digest as Hash;
    assert.equal((await findWithdrawal(pool, digest))?.state, 'pending');
    assert.equal((await findWithdrawal(pool, digest))?.fee, 10);
    await script.row([script.seal()]);
    await projected();
    assert.equal((await findWithdrawal(pool, digest))?.state, 'batched');
    const settle = script.settle(1000);
    assert.ok(settle);
    await script.row([settle]);
    await projected();
    assert.equal((await findWithdrawal(pool, digest))?.state, 'executed');
    const [failed] = (await listWithdrawals(pool, account(2), page)).rows;
    assert.deepEqual([failed?.state, failed?.reason, failed?.native], ['failed', 'transfer_failed', false]);
  });

  it('shows listings, session keys, exits and halts', async () => {
    const key = `0x${'5e'.repeat(20)}` as Address;
    const owner = account(0);
    await script.row([
      script.fact({
        kind: 'sessionKeyRegistered',
        account: owner,
        key,
        validUntil: 2_000_000_000 as never,
        marketMask: 1n << 255n,
      }),
      script.fact({ kind: 'exitRequested', account: owner, asset: WETH }),
      { kind: 'haltWithdrawals', reason: 'drift' },
      { kind: 'setMarketState', market: 0, state: 'cancel_only' },
    ]);
    await projected();
    assert.deepEqual(
      (await listAssets(pool)).map(({ symbol, quantumUnits }) => [symbol, quantumUnits]),
      [
        ['WETH', 10n ** 9n],
        ['USDC', 1n],
      ],
    );
    const [listing] = await listMarkets(pool);
    assert.deepEqual(
      [listing?.market.symbol, listing?.state, listing?.stateReason],
      ['WETH-USDC', 'cancel_only', 'operator'],
    );
    assert.deepEqual(
      (await listSessionKeys(pool, owner)).map(({ marketMask }) => marketMask),
      [1n << 255n],
    );
    assert.deepEqual(
      (await listExits(pool, owner)).map(({ asset, status }) => [asset, status]),
      [[WETH, 'requested']],
    );
    const status = await reconciliationStatus(pool);
    assert.deepEqual([status.withdrawalsHalted, status.latest, status.openIncidents.length], ['drift', undefined, 0]);
    assert.equal((await findGenesis(pool))?.chainId, 31337);
    await script.row([
      script.fact({ kind: 'sessionKeyRevoked', account: owner, key, validUntil: 5 as never }),
      { kind: 'resumeWithdrawals', reason: 'resolved' },
    ]);
    await projected();
    assert.deepEqual(
      (await listSessionKeys(pool, owner)).map(({ validUntil }) => validUntil),
      [5],
    );
    assert.equal((await reconciliationStatus(pool)).withdrawalsHalted, undefined);
  });

  it('computes candles and tickers', async () => {
    const start = Math.ceil(script.nowMs / 60_000) * 60_000;
    script.nowMs = start;
    for (const [index, price] of [1_000, 1_005, 995, 1_002].entries()) {
      script.nowMs = start + index * 30_000;
      const maker = script.order(0, { side: 'sell', priceTicks: priceTicks(price), sizeLots: lots(2) });
      const taker = script.order(1, { priceTicks: priceTicks(price), sizeLots: lots(2) });
      await script.row([
        { kind: 'placeOrder', order: maker },
        { kind: 'placeOrder', order: taker },
      ]);
    }
    await projected();
    const candles = await listCandles(pool, {
      market: 0,
      intervalMs: 60_000,
      fromMs: start as TimestampMs,
      toMs: (start + 600_000) as TimestampMs,
      limit: 10,
    });
    assert.deepEqual(
      candles.map(({ openTimeMs, open, high, low, close, trades }) => [
        openTimeMs - start,
        open,
        high,
        low,
        close,
        trades,
      ]),
      [
        [0, 1_000, 1_005, 1_000, 1_005, 2],
        [60_000, 995, 1_002, 995, 1_002, 2],
      ],
    );
    assert.equal(candles[0]?.volumeLots, 4n);
    const [ticker] = await listTickers(pool, script.nowMs as TimestampMs);
    assert.deepEqual(
      [ticker?.last, ticker?.open, ticker?.high, ticker?.low, ticker?.trades],
      [1_002, 1_000, 1_005, 995, 4],
    );
    const [later] = await listTickers(pool, (script.nowMs + 90_000_000) as TimestampMs);
    assert.deepEqual([later?.last, later?.open, later?.volumeLots, later?.trades], [1_002, undefined, 0n, 0]);
  });

  it('hands out the journal by range and tells how far everything has come', async () => {
    await script.row([{ kind: 'tick' }, { kind: 'tick' }]);
    await projected();
    const rows = await journalRows(pool, { fromSequence: 6 as JournalSequence, limit: 10 });
    assert.deepEqual(
      rows.map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence]),
      [
        [6, 11],
        [12, 13],
      ],
    );
    assert.equal((await findJournalRow(pool, 13 as JournalSequence))?.firstSequence, 12);
    assert.equal(await findJournalRow(pool, 14 as JournalSequence), undefined);
    const progress = await exchangeProgress(pool);
    assert.deepEqual(
      [progress.journalSequence, progress.journalHead, progress.oldestUnsettledTradeMs],
      [13, 13, undefined],
    );
  });

  it('waits for a command no longer than told', async () => {
    const waiter = new ProjectionWaiter(pool);
    assert.equal(await waiter.waitFor((script.engine.lastSequence + 1) as JournalSequence, 50), false);
    const waited = waiter.waitFor((script.engine.lastSequence + 1) as JournalSequence, 10_000);
    await script.row([{ kind: 'tick' }]);
    assert.equal(await waited, true);
  });
});
