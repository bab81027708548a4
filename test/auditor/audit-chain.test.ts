import assert from 'node:assert/strict';
import { type AuditOptions, type AuditProgress, type AuditReport, auditChain } from '../../src/auditor/audit-chain.ts';
import type { CheckName } from '../../src/auditor/findings.ts';
import { contentHash, decodeBatchContent, encodeBatchContent } from '../../src/chain/batch-codec.ts';
import { hexToBytes } from '../../src/chain/hex.ts';
import { encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { SequencedCommand } from '../../src/domain/commands.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import { type Hash, type Hex, lots, type Ppm, priceTicks } from '../../src/domain/units.ts';
import { buildRow, verifyRowContent } from '../../src/offchain-engine/sequencer/journal-row.ts';
import type { LabExchange } from '../support/lab-exchange.ts';
import { useLocalNode } from '../support/local-node.ts';
import { type RpcProxy, startRpcProxy } from '../support/rpc-proxy.ts';
import { type LabUser, pageSlot, type SettlementLab, signCompact } from '../support/settlement-lab.ts';
import { tradedExchange } from '../support/traded-exchange.ts';

/** Selector and five words of the batch, then the offset of the content and two words of signature. */
const CONTENT_LENGTH_WORD = 8;

describe('auditing a vault', () => {
  const node = useLocalNode();
  let proxy: RpcProxy;
  let lab: SettlementLab;
  let exchange: LabExchange;
  let users: LabUser[];
  /** The last batch's transaction. */
  let transaction: Hash;

  before(async () => {
    proxy = await startRpcProxy(node.node().rpcUrl);
    ({ lab, exchange, users, transaction } = await tradedExchange(node.node()));
  });
  afterEach(() => {
    proxy.bendAnswer = undefined;
  });
  after(() => proxy.stop());

  const audit = (options: Partial<AuditOptions> = {}): Promise<AuditReport> =>
    auditChain({ rpcUrl: proxy.url, vault: lab.vault, ...options });

  async function expectFailure(
    check: CheckName,
    reason: RegExp,
    options: Partial<AuditOptions> = {},
  ): Promise<AuditReport> {
    const report = await audit(options);
    assert.equal(report.verdict, 'failed');
    const found = report.failures.find((failure) => failure.check === check && reason.test(failure.reason));
    assert.ok(
      found !== undefined,
      `no failure of ${check} matches ${reason}: ${JSON.stringify(report.failures, null, 1)}`,
    );
    return report;
  }

  /** Shows another input for the last batch's transaction. */
  function bendInput(bend: (input: Hex) => Hex): void {
    proxy.bendAnswer = (call, answer) => {
      if (call.method !== 'eth_getTransactionByHash' || call.params[0] !== transaction) return answer;
      const shown = answer.result as { input: Hex };
      return { result: { ...shown, input: bend(shown.input) } };
    };
  }

  const contentIn = (input: Hex): Uint8Array => {
    const at = 10 + 64 * CONTENT_LENGTH_WORD;
    const length = Number(`0x${input.slice(at, at + 64)}`);
    return hexToBytes(`0x${input.slice(at + 64, at + 64 + 2 * length)}`);
  };

  /**
   * The worst case: engine key and node collude. The last batch is shown with another content, signed anew by the engine key, and the vault's
   * event with the hashes that fit.
   */
  async function collude(
    bend: (content: ReturnType<typeof decodeBatchContent>) => ReturnType<typeof decodeBatchContent>,
  ): Promise<void> {
    const { input } = (await lab.rpc.request('eth_getTransactionByHash', [transaction])) as { input: Hex };
    const content = encodeBatchContent(bend(decodeBatchContent(contentIn(input))));
    const word = (index: number): Hex => `0x${input.slice(10 + 64 * index, 74 + 64 * index)}`;
    const [parent, journalSequence, journalHash] = [word(1), Number(word(3)), word(4)];
    const before = { batchId: lab.batchId, parent: lab.parent };
    lab.batchId -= 1;
    const forged = await lab.settleInput(content, { parent, journalSequence, journalHash });
    Object.assign(lab, before);
    proxy.bendAnswer = (call, answer) => {
      if (call.method === 'eth_getTransactionByHash' && call.params[0] === transaction) {
        return { result: { ...(answer.result as object), input: forged.input } };
      }
      if (call.method !== 'eth_getLogs') return answer;
      const logs = answer.result as { transactionHash: Hash; data: Hex }[];
      const hash = contentHash(content);
      return {
        result: logs.map((log) =>
          log.transactionHash === transaction
            ? { ...log, data: `${log.data.slice(0, 130)}${hash.slice(2)}${forged.hash.slice(2)}${log.data.slice(258)}` }
            : log,
        ),
      };
    };
  }

  it('finds nothing wrong with an honest one, and says what it saw', async () => {
    const seen = new Map<string, AuditProgress>();
    const report = await audit({
      journal: exchange.rows,
      onProgress: (progress) => void seen.set(progress.stage, progress),
    });
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'ok');
    assert.equal(report.figures.batches, 3);
    assert.equal(report.figures.fills, 11);
    assert.equal(report.figures.fillsSkipped, 0);
    assert.equal(report.figures.withdrawals, 1);
    assert.equal(report.figures.exits, 1);
    assert.equal(report.figures.accounts, 3);
    assert.deepEqual(
      report.figures.assets.map(({ surplus }) => surplus),
      ['0', '0', '0'],
    );
    assert.equal(report.figures.journalCommands, exchange.engine.lastSequence);
    assert.equal(report.figures.journalFactsBeyond, 0);
    assert.deepEqual([...seen.keys()], ['events', 'storage', 'journal']);
    const [events, storage, journal] = [...seen.values()];
    assert.ok(events?.stage === 'events' && events.events === report.figures.events);
    assert.ok(storage?.stage === 'storage' && storage.ofAccounts === report.figures.accounts);
    assert.ok(journal?.stage === 'journal' && journal.commands === report.figures.journalCommands);
    assert.ok(report.checks.every(({ made, failed }) => made > 0 && failed === 0));
  });

  it('refuses to begin above the last block, where it would check nothing', async () => {
    await assert.rejects(audit({ fromBlock: 1_000_000 }), {
      code: 'CONFIGURATION',
      message: /--from 1000000 is above the last block, \d+/,
    });
  });

  it('audits up to a block in the past', async () => {
    const receipt = (await lab.rpc.request('eth_getTransactionReceipt', [transaction])) as { blockNumber: Hex };
    const report = await audit({ toBlock: Number(receipt.blockNumber) - 1, journal: exchange.rows });
    assert.ok((report.figures.journalFactsBeyond ?? 0) > 0);
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'ok');
    assert.equal(report.figures.batches, 2);
  });

  it("takes the vault's word for earlier signatures alone when it begins in the middle, and says for how many", async () => {
    const receipt = (await lab.rpc.request('eth_getTransactionReceipt', [transaction])) as { blockNumber: Hex };
    const fromBlock = Number(receipt.blockNumber);
    const report = await audit({ fromBlock, journal: exchange.rows });
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'ok');
    assert.equal(report.figures.batches, 3);
    const { orders, signaturesTrusted } = report.figures;
    assert.ok(signaturesTrusted > 0 && signaturesTrusted < orders);
    assert.equal((await audit()).figures.signaturesTrusted, 0);
    assert.equal((await audit({ fromBlock: lab.deploymentBlock })).figures.signaturesTrusted, 0);
  });

  it('calls an audit incomplete when the node does not have the first events', async () => {
    proxy.bendAnswer = (call, answer) =>
      call.method === 'eth_getLogs' ? { result: (answer.result as unknown[]).slice(4) } : answer;
    const report = await audit();
    assert.equal(report.verdict, 'incomplete');
    assert.match(report.incomplete ?? '', /does not show the vault's first 4 events/);
  });

  it('holds nothing against the vault when the node has forgotten a transaction', async () => {
    proxy.bendAnswer = (call, answer) =>
      call.method === 'eth_getTransactionByHash' && call.params[0] === transaction ? { result: null } : answer;
    const report = await audit();
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'incomplete');
    assert.match(report.incomplete ?? '', /does not have the transaction/);
  });

  it('holds nothing against the vault when the chain was reorganised while it was read', async () => {
    const head = (await lab.rpc.request('eth_blockNumber', [])) as Hex;
    let isReorganised = false;
    // The last batch is on the chain that the storage is read of, and not on the one whose events are read.
    proxy.bendAnswer = (call, answer) => {
      if (call.method === 'eth_getLogs') {
        isReorganised = true;
        const logs = answer.result as { transactionHash: Hash; blockNumber: Hex }[];
        return { result: logs.filter((log) => log.transactionHash !== transaction && log.blockNumber !== head) };
      }
      const isHead = call.method === 'eth_getBlockByNumber' && call.params[0] === head;
      return isHead && isReorganised
        ? { result: { ...(answer.result as object), hash: `0x${'ab'.repeat(32)}` } }
        : answer;
    };
    const report = await audit();
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'incomplete');
    assert.match(report.incomplete ?? '', /was reorganised/);
  });

  it('goes on when the node is away for a moment', async () => {
    let broken = 0;
    proxy.breakRequest = (calls) =>
      calls.some(({ method }) => method === 'eth_getLogs') && ++broken <= 3
        ? { kind: 'status', status: broken === 1 ? 429 : 502 }
        : undefined;
    try {
      assert.equal((await audit()).verdict, 'ok');
      assert.ok(broken > 3);
    } finally {
      proxy.breakRequest = undefined;
    }
  });

  it('batch byte flipped', async () => {
    const { input } = (await lab.rpc.request('eth_getTransactionByHash', [transaction])) as { input: Hex };
    const { length } = contentIn(input);
    // Anywhere in the content: counts, accounts, terms, signatures, fills.
    for (let byte = 3; byte < length; byte += Math.ceil(length / 12)) {
      bendInput((shown) => {
        const at = 10 + 64 * (CONTENT_LENGTH_WORD + 1) + 2 * byte;
        const flipped = (Number(`0x${shown.slice(at, at + 2)}`) ^ 1).toString(16).padStart(2, '0');
        return `${shown.slice(0, at)}${flipped}${shown.slice(at + 2)}` as Hex;
      });
      const report = await expectFailure('content_hash', /the content hashes to 0x/);
      assert.ok(
        report.failures.some(
          ({ check, transaction: blamed }) => check === 'engine_signature' && blamed === transaction,
        ),
      );
    }
  });

  it('wrong parent', async () => {
    bendInput((input) => `${input.slice(0, 74)}${'77'.repeat(32)}${input.slice(138)}` as Hex);
    await expectFailure('batch_order', /names the parent 0x7777/);
  });

  it('forged order, although engine and node collude', async () => {
    const [, , cleo] = users as [LabUser, LabUser, LabUser];
    const forged = await signCompact(cleo.key, `0x${'12'.repeat(32)}`);
    await collude((content) => ({
      ...content,
      accounts: content.accounts.map((account, index) =>
        index === 0
          ? {
              ...account,
              orders: account.orders.map((order) => ({
                ...order,
                authorisation: { kind: 'owner' as const, signature: forged },
              })),
            }
          : account,
      ),
    }));
    const report = await expectFailure('order_authority', /was executed, though skipped: badSignature/);
    assert.ok(
      report.failures.every(
        ({ check }) => check !== 'engine_signature' && check !== 'content_hash' && check !== 'batch_order',
      ),
    );
  });

  it('finds a fill beyond the signed limits although engine and node collude', async () => {
    await collude((content) => ({
      ...content,
      fills: content.fills.map((fill, index) => (index === 0 ? { ...fill, sizeLots: lots(fill.sizeLots + 1) } : fill)),
    }));
    await expectFailure('fills', /by the rules skipped: overfilled/);
  });

  it('finds a fee above what was signed although engine and node collude', async () => {
    await collude((content) => ({
      ...content,
      fills: content.fills.map((fill) => ({ ...fill, takerFeePpm: 1_001 as Ppm })),
    }));
    await expectFailure('fills', /by the rules skipped: feeTooHigh/);
  });

  it('finds a worse price than the signed one although engine and node collude', async () => {
    await collude((content) => ({
      ...content,
      accounts: content.accounts.map((account) => ({
        ...account,
        orders: account.orders.map((order) => ({ ...order, priceTicks: priceTicks(order.priceTicks + 1) })),
      })),
    }));
    await expectFailure('order_authority', /badSignature/);
  });

  it('fill reordered, although engine and node collude', async () => {
    await collude((content) => ({ ...content, fills: content.fills.toReversed() }));
    await expectFailure('journal_batches', /differs from the journal: item \d+/, { journal: exchange.rows });
  });

  it('fill dropped, although engine and node collude', async () => {
    await collude((content) => ({ ...content, fills: content.fills.slice(1) }));
    const report = await expectFailure('journal_batches', /differs from the journal/, { journal: exchange.rows });
    assert.ok(report.failures.some(({ check }) => check === 'storage'));
  });

  it('journal edited', async () => {
    const rows = exchange.rows.map((row, index) => {
      if (index !== 20) return row;
      const body = row.body.slice();
      body[body.length - 3] = (body[body.length - 3] as number) ^ 1;
      return { ...row, body };
    });
    await expectFailure('journal_chain', /altered_row/, { journal: rows });
  });

  it('order dropped from a journal rebuilt with good hashes', async () => {
    const kept = exchange.rows.flatMap((row) => verifyRowContent(row));
    const dropped = kept.findIndex(({ command }) => command.kind === 'placeOrder');
    await expectFailure('journal_commitment', /names the row/, { journal: rebuild(kept.toSpliced(dropped, 1)) });
  });

  it('journal edited: orders change places, rebuilt with good hashes', async () => {
    const commands = exchange.rows.flatMap((row) => [...verifyRowContent(row)]);
    const [first, second] = commands.flatMap(({ command }, index) => (command.kind === 'placeOrder' ? [index] : []));
    const [a, b] = [commands[first ?? 0], commands[second ?? 0]] as [SequencedCommand, SequencedCommand];
    const swapped = commands.with(first ?? 0, b).with(second ?? 0, a);
    await expectFailure('journal_commitment', /names the row/, { journal: rebuild(swapped) });
  });

  it('journal edited: a deposit of more than came', async () => {
    const commands = exchange.rows.flatMap((row) => [...verifyRowContent(row)]);
    const edited = commands.map((sequenced) =>
      sequenced.command.kind === 'depositCredited' && sequenced.command.asset === 1
        ? {
            ...sequenced,
            command: {
              ...sequenced.command,
              amount: (sequenced.command.amount + 5) as typeof sequenced.command.amount,
            },
          }
        : sequenced,
    );
    await expectFailure('journal_facts', /on chain it is/, { journal: rebuild(edited) });
  });

  for (const [what, forged] of [
    ['with another signature', (signature: Hex): Hex => signature.replace(/.{4}$/, '0000') as Hex],
    ['without a signature', (): Hex => '0x'],
    ['with bytes of a contract wallet', (): Hex => `0x${'12'.repeat(65)}`],
  ] as const) {
    it(`journal edited: a withdrawal that its account did not sign, ${what}`, async () => {
      const commands = exchange.rows.flatMap((row) => [...verifyRowContent(row)]);
      const edited = commands.map((sequenced): SequencedCommand => {
        if (sequenced.command.kind !== 'requestWithdrawal') return sequenced;
        const { withdrawal } = sequenced.command;
        const signature = forged(withdrawal.signature);
        return { ...sequenced, command: { ...sequenced.command, withdrawal: { ...withdrawal, signature } } };
      });
      await expectFailure('journal_withdrawals', /was signed by/, { journal: rebuild(edited) });
    });
  }

  it('calls an audit incomplete whose journal ends too early', async () => {
    const report = await audit({ journal: exchange.rows.slice(0, 12) });
    assert.equal(report.verdict, 'incomplete');
    assert.match(report.incomplete ?? '', /the journal ends before \d of the settled batches/);
  });

  for (const name of ['Deposited', 'last'] as const) {
    it(`finds an event that the node hides: ${name}`, async () => {
      proxy.bendAnswer = (call, answer) => {
        if (call.method !== 'eth_getLogs') return answer;
        const logs = answer.result as unknown[];
        return { result: name === 'last' ? logs.slice(0, -1) : logs.toSpliced(12, 1) };
      };
      await expectFailure('event_sequence', name === 'last' ? /events by block/ : /follows event/);
    });
  }

  it('finds a batch that was sent through another contract', async () => {
    proxy.bendAnswer = (call, answer) =>
      call.method === 'eth_getTransactionByHash' && call.params[0] === transaction
        ? { result: { ...(answer.result as object), to: `0x${'99'.repeat(20)}` } }
        : answer;
    await expectFailure('calldata', /calls 0x9999/);
  });

  describe('with storage changed behind the rules', () => {
    let snapshot: unknown;
    beforeEach(async () => {
      snapshot = await lab.rpc.request('evm_snapshot', []);
    });
    afterEach(() => lab.rpc.request('evm_revert', [snapshot]));

    it('overdrawn account: a quantum more in storage than was derived', async () => {
      const [ann] = users as [LabUser, LabUser, LabUser];
      const slot = pageSlot(ann.address);
      const word = BigInt((await lab.rpc.request('eth_getStorageAt', [lab.vault, slot, 'latest'])) as Hex);
      await lab.rpc.request('anvil_setStorageAt', [lab.vault, slot, `0x${(word + 1n).toString(16).padStart(64, '0')}`]);
      await lab.rpc.request('evm_mine', []);
      const report = await expectFailure('storage', /quanta of asset 0 in storage, derived/);
      assert.ok(report.failures.some(({ order }) => order === ann.address));
    });

    it('finds tokens that are missing', async () => {
      await lab.rpc.request('anvil_setBalance', [lab.vault, '0xde0b6b3a7640000']);
      const transfer: Hex = `0xa9059cbb${lab.deployer.slice(2).padStart(64, '0')}${'1'.padStart(64, '0')}`;
      await lab.sendRaw(lab.vault, lab.tokens[1] as Hex, transfer);
      await lab.rpc.request('evm_mine', []);
      await expectFailure('solvency', /asset 1: the vault holds \d+ and owes \d+/);
    });
  });
});

/** A journal of the same commands, renumbered, with hashes that are all good. */
function rebuild(commands: readonly SequencedCommand[]): JournalRow[] {
  const rows: JournalRow[] = [];
  for (const [index, { timestampMs, command }] of commands.entries()) {
    const sequenced = { sequence: (index + 1) as SequencedCommand['sequence'], timestampMs, command };
    const previous = rows.at(-1)?.hash ?? (`0x${'00'.repeat(32)}` as Hex);
    const { row } = buildRow(previous, 1, index + 1, [encodeSequencedCommand(sequenced)]);
    rows.push({ ...row, committedAtMs: timestampMs });
  }
  return rows;
}
