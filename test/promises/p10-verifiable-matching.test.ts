/** P10: whoever holds the journal can prove that price-time priority was kept and nothing was dropped; a receipt proves an order left out. */
import assert from 'node:assert/strict';
import { type AuditReport, auditChain } from '../../src/auditor/audit-chain.ts';
import type { CheckName } from '../../src/auditor/findings.ts';
import { judgeReceipt } from '../../src/auditor/judge-receipt.ts';
import { createRowSigner } from '../../src/chain/receipts.ts';
import type { SealedBatch } from '../../src/domain/batches.ts';
import { encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { SequencedCommand } from '../../src/domain/commands.ts';
import type { JournalRow, Receipt } from '../../src/domain/journal.ts';
import type { NewOrder } from '../../src/domain/orders.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import type { Hash } from '../../src/domain/units.ts';
import {
  buildRow,
  NO_PREVIOUS_HASH,
  receiptFor,
  verifyRowContent,
} from '../../src/offchain-engine/sequencer/journal-row.ts';
import { all } from '../offchain-engine/support/exchange.ts';
import { NaiveBook } from '../offchain-engine/support/naive-book.ts';
import { LabExchange } from '../support/lab-exchange.ts';
import { useLocalNode } from '../support/local-node.ts';
import { seededRandom } from '../support/random.ts';
import type { LabUser, SettlementLab } from '../support/settlement-lab.ts';
import { HandMadeBatches } from './support/hand-made-batches.ts';

const SEED = Number(process.env['SEED'] ?? 10);

describe(`P10 Verifiable matching (SEED=${SEED})`, () => {
  const node = useLocalNode();
  const random = seededRandom(SEED);
  let lab: SettlementLab;
  let users: LabUser[];
  let exchange: LabExchange;
  let snapshot: unknown;

  before(async () => {
    const batches = await HandMadeBatches.on(node.node());
    lab = batches.lab;
    users = await batches.users(['ann', 'ben', 'cleo'], 2_000_000_000);
  });
  beforeEach(async () => {
    snapshot = await lab.rpc.request('evm_snapshot', []);
    exchange = await LabExchange.open(lab);
  });
  afterEach(async () => {
    await lab.rpc.request('evm_revert', [snapshot]);
    Object.assign(lab, { batchId: 0, parent: NO_PREVIOUS_HASH });
  });

  const audit = (journal: readonly JournalRow[]): Promise<AuditReport> =>
    auditChain({ rpcUrl: node.node().rpcUrl, vault: lab.vault, fromBlock: lab.deploymentBlock, journal });

  async function assertFound(journal: readonly JournalRow[], check: CheckName, reason: RegExp): Promise<void> {
    const { verdict, failures } = await audit(journal);
    assert.equal(verdict, 'failed');
    const found = failures.some((failure) => failure.check === check && reason.test(failure.reason));
    assert.ok(found, `no failure of ${check} matches ${reason}: ${JSON.stringify(failures.slice(0, 5), null, 1)}`);
  }

  /** Two makers at one price, the older first, and a taker for both. */
  async function tradeInTurn(): Promise<void> {
    const [ann, ben, cleo] = users as [LabUser, LabUser, LabUser];
    await exchange.place(ann, { side: 'sell', sizeLots: 10, priceTicks: 100 });
    await exchange.place(ben, { side: 'sell', sizeLots: 10, priceTicks: 100 });
    await exchange.place(cleo, { side: 'buy', sizeLots: 14, priceTicks: 101, timeInForce: 'ioc' });
  }

  /** Settles what the engine would never have sealed; the vault takes it, since every order is signed and within its limits. */
  async function settleBent(bend: (batch: SealedBatch) => SealedBatch): Promise<void> {
    const batch = exchange.seal();
    await lab.settle(exchange.contentOf(bend(batch)), exchange.commitmentOf(batch));
    // The exchange that cheats keeps a journal that goes with what it did on chain.
    await exchange.feed();
  }

  it('P10: an honest history passes: every batch is the journal’s, in order of price and time', async () => {
    for (let round = 0; round < 2; round++) {
      await tradeInTurn();
      await exchange.settle();
    }
    const report = await audit(exchange.rows);
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'ok');
    assert.equal(report.figures.journalCommands, exchange.engine.lastSequence);
    for (const check of ['journal_chain', 'journal_orders', 'journal_batches', 'journal_commitment', 'journal_facts'])
      assert.ok(
        report.checks.some(({ name, made }) => name === check && made > 0),
        check,
      );
  });

  it('P10: price comes first, then time, as the plainest of books has it', async () => {
    const naive = new NaiveBook();
    const ids = new Map<Hash, number>();
    for (let id = 1; id <= 70; id++) {
      const account = random(3);
      const terms = {
        side: random(2) === 0 ? ('buy' as const) : ('sell' as const),
        sizeLots: 1 + random(9),
        priceTicks: 97 + random(7),
        timeInForce: random(4) === 0 ? ('ioc' as const) : ('gtc' as const),
      };
      const events = await exchange.place(users[account] as LabUser, terms);
      const digest = all(events, 'orderAccepted')[0]?.order.digest ?? assert.fail('every order is accepted');
      ids.set(digest, id);
      const { sizeLots: size, priceTicks: price, side, timeInForce } = terms;
      const rest = { postOnly: false, selfTradePrevention: 'cancel_newest' as const };
      const expected = naive.submit({ id, account, side, price, size, timeInForce, ...rest });
      assert.deepEqual(
        all(events, 'trade').map(
          (trade) => `${ids.get(trade.taker.digest)}>${ids.get(trade.maker.digest)} ${trade.size}@${trade.price}`,
        ),
        expected.trades,
        `order ${id}`,
      );
    }
    await exchange.settle();
    assert.equal((await audit(exchange.rows)).verdict, 'ok');
  });

  it('P10: a maker passed over for a younger one is found, although the vault settled it', async () => {
    await tradeInTurn();
    await settleBent((batch) => ({
      ...batch,
      trades: batch.trades.map((trade, index) => ({
        ...trade,
        makerOrder: batch.trades[1 - index]?.makerOrder ?? trade.makerOrder,
      })),
    }));
    await assertFound(exchange.rows, 'journal_batches', /differs from the journal: item \d+/);
  });

  it('P10: fills in another order are found', async () => {
    await tradeInTurn();
    await settleBent((batch) => ({ ...batch, trades: batch.trades.toReversed() }));
    await assertFound(exchange.rows, 'journal_batches', /differs from the journal/);
  });

  it('P10: a fill that was left out, or made smaller, is found', async () => {
    await tradeInTurn();
    await settleBent((batch) => ({
      ...batch,
      trades: batch.trades.map((trade, index) =>
        index === 1 ? { ...trade, sizeLots: 3 as typeof trade.sizeLots } : trade,
      ),
    }));
    await assertFound(exchange.rows, 'journal_batches', /differs from the journal/);
  });

  it('P10: an order dropped from the journal is found, all hashes rebuilt', async () => {
    await tradeInTurn();
    await exchange.settle();
    assert.deepEqual(
      rebuild(exchange.rows, (sequenced) => sequenced),
      exchange.rows,
    );
    let dropped = 0;
    const without = rebuild(exchange.rows, (sequenced) =>
      sequenced.command.kind === 'placeOrder' && dropped++ === 0 ? undefined : sequenced,
    );
    assert.ok(dropped > 0);
    await assertFound(without, 'journal_commitment', /names the row/);
  });

  it('P10: an edited row is found: by its hash, and when that is rebuilt, by the batch that commits to it', async () => {
    await tradeInTurn();
    await exchange.settle();
    const at = exchange.rows.findIndex((row) => verifyRowContent(row)[0]?.command.kind === 'placeOrder');
    const edited = exchange.rows.map((row, index) => {
      if (index !== at) return row;
      const body = row.body.slice();
      body[body.length - 3] = (body[body.length - 3] as number) ^ 1;
      return { ...row, body };
    });
    await assertFound(edited, 'journal_chain', /altered_row/);
    const later = rebuild(exchange.rows, (sequenced) => withOrder(sequenced, { clientOrderId: 'x' }));
    await assertFound(later, 'journal_commitment', /names the row/);
  });

  it('P10: an order in the journal that its owner never signed is found', async () => {
    await tradeInTurn();
    await exchange.settle();
    const unsigned = rebuild(exchange.rows, (sequenced) => withOrder(sequenced, { signature: `0x${'11'.repeat(64)}` }));
    await assertFound(unsigned, 'journal_orders', /was signed by/);
  });

  it('P10: a receipt proves that an acknowledged order was left out, where the chain and the journal alone show nothing wrong', async () => {
    const [ann, , cleo] = users as [LabUser, LabUser, LabUser];
    await exchange.place(cleo, { side: 'buy', sizeLots: 5, priceTicks: 90 });
    const acknowledged = await receiptOfLast(exchange);
    await exchange.place(ann, { side: 'sell', sizeLots: 1, priceTicks: 500 });
    assert.deepEqual(await judgeReceipt(acknowledged, exchange.rows), { kind: 'kept' });

    // The operator goes on as if cleo's order had never come.
    exchange = await LabExchange.open(lab);
    assert.deepEqual(await judgeReceipt(acknowledged, exchange.rows), { kind: 'unreached' });
    await tradeInTurn();
    await exchange.settle();
    assert.equal((await audit(exchange.rows)).verdict, 'ok');
    const verdict = await judgeReceipt(acknowledged, exchange.rows);
    assert.equal(verdict.kind, 'omitted');

    const { receipt, sequenced } = acknowledged;
    const forgeries: readonly { receipt: Receipt; sequenced: SequencedCommand }[] = [
      { receipt: { ...receipt, merkleRoot: `0x${'12'.repeat(32)}` }, sequenced },
      { receipt: { ...receipt, rowHash: `0x${'12'.repeat(32)}` }, sequenced },
      { receipt: { ...receipt, signature: `0x${'12'.repeat(64)}` }, sequenced },
      { receipt, sequenced: { ...sequenced, command: { kind: 'tick' } } },
    ];
    for (const forgery of forgeries)
      assert.equal((await judgeReceipt({ ...acknowledged, ...forgery }, exchange.rows)).kind, 'unproven');
  });

  /** The receipt that the engine's key gives for the first command of the last row. */
  async function receiptOfLast(of: LabExchange) {
    const row = of.rows.at(-1) ?? assert.fail('the journal is empty');
    const commands = verifyRowContent(row);
    const built = buildRow(row.previousHash, row.epoch, row.firstSequence, commands.map(encodeSequencedCommand));
    assert.equal(built.row.hash, row.hash);
    const domain = eip712Domain(node.node().chainId, lab.vault);
    const signature = await createRowSigner(lab.engine.key, domain)(row);
    const [sequenced] = commands as [SequencedCommand];
    return { receipt: receiptFor(built, 0, signature), sequenced, engineKeys: [lab.engine.address], domain };
  }
});

/** A journal of the same rows with other commands, renumbered, its hashes all good; rows left empty are gone. */
function rebuild(
  rows: readonly JournalRow[],
  edit: (sequenced: SequencedCommand) => SequencedCommand | undefined,
): JournalRow[] {
  const rebuilt: JournalRow[] = [];
  for (const row of rows) {
    const first = (rebuilt.at(-1)?.lastSequence ?? 0) + 1;
    const encoded = verifyRowContent(row)
      .flatMap((sequenced) => edit(sequenced) ?? [])
      .map((kept, index) => encodeSequencedCommand({ ...kept, sequence: (first + index) as typeof kept.sequence }));
    if (encoded.length === 0) continue;
    const built = buildRow(rebuilt.at(-1)?.hash ?? NO_PREVIOUS_HASH, row.epoch, first, encoded);
    rebuilt.push({ ...built.row, committedAtMs: row.committedAtMs });
  }
  return rebuilt;
}

/** The same command with its order changed, if it places one. */
function withOrder(sequenced: SequencedCommand, change: Partial<NewOrder>): SequencedCommand {
  const { command } = sequenced;
  if (command.kind !== 'placeOrder') return sequenced;
  return { ...sequenced, command: { ...command, order: { ...command.order, ...change } } };
}
