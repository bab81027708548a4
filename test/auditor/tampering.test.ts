/** I15: whoever changes any one figure that the vault shows, any word of what it reported, or an acknowledgement, is found. */
import assert from 'node:assert/strict';
import { decodeFunctionResult, encodeFunctionResult } from 'viem';
import { type AuditOptions, type AuditReport, auditChain } from '../../src/auditor/audit-chain.ts';
import { bytesToHex } from '../../src/chain/hex.ts';
import { INSPECT_ABI } from '../../src/chain/inspect-vault.ts';
import { encodeInspectCall } from '../../src/chain/inspect-vault-codec.ts';
import { keccakText } from '../../src/chain/keccak.ts';
import { createRowSigner } from '../../src/chain/receipts.ts';
import { encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { Receipt } from '../../src/domain/journal.ts';
import { eip712Domain } from '../../src/domain/typed-data.ts';
import { type Hex, lots, type Ppm } from '../../src/domain/units.ts';
import { buildRow, verifyRowContent } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { useLocalNode } from '../support/local-node.ts';
import { type RpcProxy, startRpcProxy } from '../support/rpc-proxy.ts';
import { type LabOrder, pageSlot, signCompact, tableOf } from '../support/settlement-lab.ts';
import { type TradedExchange, tradedExchange } from '../support/traded-exchange.ts';

const FEES_CHANGED = bytesToHex(keccakText('FeesChanged(uint64,uint16,uint16)'));
const SELECTOR = encodeInspectCall([]).slice(0, 10);

describe('tampering with what an audit looks at', () => {
  const node = useLocalNode();
  let proxy: RpcProxy;
  let traded: TradedExchange;

  before(async () => {
    proxy = await startRpcProxy(node.node().rpcUrl);
    traded = await tradedExchange(node.node());
  });
  afterEach(() => {
    proxy.bendAnswer = undefined;
  });
  after(() => proxy.stop());

  const audit = (options: Partial<AuditOptions> = {}): Promise<AuditReport> =>
    auditChain({ rpcUrl: proxy.url, vault: traded.lab.vault, ...options });

  it('every figure of the vault: changed by the smallest step, it is found', async () => {
    const answers: Hex[] = [];
    proxy.bendAnswer = (call, answer) => {
      if (isInspect(call)) answers.push(answer.result as Hex);
      return answer;
    };
    assert.equal((await audit()).verdict, 'ok');
    // The last one shows the accounts.
    const honest = leavesOf(
      decodeFunctionResult({ abi: INSPECT_ABI, functionName: 'inspect', data: answers.at(-1) ?? '0x' }),
    );
    assert.ok(honest.length > 40);
    for (const path of honest) {
      proxy.bendAnswer = (call, answer) => {
        if (!isInspect(call)) return answer;
        const state = decodeFunctionResult({ abi: INSPECT_ABI, functionName: 'inspect', data: answer.result as Hex });
        const result = encodeFunctionResult({
          abi: INSPECT_ABI,
          functionName: 'inspect',
          result: changed(state, path),
        });
        return { result };
      };
      const report = await audit();
      assert.notEqual(report.verdict, 'ok', `${path.join('.')} was changed and nobody saw it`);
      assert.doesNotMatch(
        report.incomplete ?? '',
        /did not answer/,
        `${path.join('.')}: the changed answer never arrived`,
      );
    }
  });

  it('every event of the vault: with its first figure changed, it is found', async () => {
    const { lab, exchange } = traded;
    const logs = (await lab.rpc.request('eth_getLogs', [{ address: lab.vault, fromBlock: '0x0' }])) as {
      topics: Hex[];
      data: Hex;
    }[];
    for (const [index, { topics, data }] of logs.entries()) {
      // Word 0 is the number of the event; the next is the amount, the time, the price step, …
      if (data.length < 2 + 128) continue;
      proxy.bendAnswer = (call, answer) => {
        if (call.method !== 'eth_getLogs') return answer;
        const shown = (answer.result as { data: Hex }[]).map((log, at) =>
          at === index ? { ...log, data: withWord(log.data, 1, (word) => word ^ 1n) } : log,
        );
        return { result: shown };
      };
      // The vault shows its fees nowhere else, and they only bound what a fill may cost: it takes the journal to see that they are others.
      const isFees = topics[0] === FEES_CHANGED;
      const report = await audit(isFees ? { journal: exchange.rows } : {});
      assert.equal(report.verdict, 'failed', `event ${index + 1} was changed and nobody saw it`);
    }
  });

  it('overdrawn account: a fill that spends what was never there, settled by the vault itself', async () => {
    const { lab } = traded;
    const snapshot = await lab.rpc.request('evm_snapshot', []);
    const before = { batchId: lab.batchId, parent: lab.parent };
    try {
      const [poor, rich] = [await lab.createFundedUser('poor'), await lab.createFundedUser('rich')];
      await lab.deposit(rich, 1, 1_000_000_000);
      // Put on the books by whoever can write the vault's storage, and nobody deposited it.
      await lab.rpc.request('anvil_setStorageAt', [
        lab.vault,
        pageSlot(poor.address),
        `0x${'1'.padStart(56, '0')}${'5000000'.padStart(8, '0')}`,
      ]);
      const terms = async (user: typeof poor, side: 'buy' | 'sell') => {
        const order: LabOrder = {
          account: user.address,
          market: 0,
          side,
          sizeLots: 1,
          priceTicks: 100,
          timeInForce: 'gtc',
          postOnly: false,
          lane: 0,
          orderSequence: 1_000,
          expiry: lab.deployedAt + 86_400,
          maxFeePpm: 1_000,
        };
        const signature = await signCompact(user.key, lab.orderDigest(order));
        return { ...order, authorisation: { kind: 'owner' as const, signature } };
      };
      const [taker, maker] = [await terms(rich, 'buy'), await terms(poor, 'sell')];
      const { accounts, markets, indexOf } = tableOf([taker, maker]);
      const fill = { sizeLots: lots(1), takerFeePpm: 0 as Ppm, makerFeePpm: 0 as Ppm };
      const fills = [{ takerOrder: indexOf(taker), makerOrder: indexOf(maker), ...fill }];
      const transaction = await lab.settle({ accounts, markets, fills, withdrawals: [] });
      const report = await audit();
      assert.equal(report.verdict, 'failed');
      const found = report.failures.find(({ check }) => check === 'fills');
      assert.match(
        found?.reason ?? '',
        /by the rules skipped: insufficientBalance \(maker order\); the vault says executed/,
      );
      assert.equal(found?.transaction, transaction);
      assert.equal(found?.order, lab.orderDigest(maker));
    } finally {
      await lab.rpc.request('evm_revert', [snapshot]);
      Object.assign(lab, before);
    }
  });

  describe('with acknowledgements', () => {
    /** The engine's receipt for the last order in the journal, as if its row had held that command. */
    async function receiptFor(change: (body: Uint8Array) => void): Promise<Receipt> {
      const { lab, exchange } = traded;
      const row = exchange.rows.findLast((candidate) => verifyRowContent(candidate)[0]?.command.kind === 'placeOrder');
      const [sequenced] = row === undefined ? [] : verifyRowContent(row);
      if (row === undefined || sequenced === undefined) return assert.fail('the journal holds no order');
      const bytes = encodeSequencedCommand(sequenced).slice();
      change(bytes);
      const signed = buildRow(row.previousHash, 1, row.firstSequence, [bytes]).row;
      const signature = await createRowSigner(lab.engine.key, eip712Domain(lab.node.chainId, lab.vault))(signed);
      const { hash: rowHash, merkleRoot } = signed;
      return { sequence: row.firstSequence, rowHash, merkleRoot, leafIndex: 0, leafCount: 1, proof: [], signature };
    }

    const auditWith = (receipt: Receipt, order?: Hex): Promise<AuditReport> =>
      audit({ journal: traded.exchange.rows, acknowledgements: [{ receipt, order }] });

    it('finds a kept order where the engine signed that it stands', async () => {
      const report = await auditWith(await receiptFor(() => undefined));
      assert.deepEqual(report.failures, []);
      assert.equal(report.verdict, 'ok');
      assert.equal(report.checks.find(({ name }) => name === 'receipts')?.made, 1);
    });

    it('order dropped: the engine signed for a command that the journal does not hold', async () => {
      const report = await auditWith(
        await receiptFor((body) => {
          body[body.length - 1] = (body[body.length - 1] as number) ^ 1;
        }),
        `0x${'12'.repeat(32)}`,
      );
      assert.equal(report.verdict, 'failed');
      assert.deepEqual(
        report.failures.map(({ check, order }) => [check, order]),
        [['receipts', `0x${'12'.repeat(32)}`]],
      );
      assert.match(report.failures[0]?.reason ?? '', /the engine signed for row 0x/);
    });

    it('holds nothing against the engine that it did not sign, or that is for another order', async () => {
      const honest = await receiptFor(() => undefined);
      const forged = await auditWith({ ...honest, rowHash: `0x${'34'.repeat(32)}` });
      assert.equal(forged.verdict, 'incomplete');
      assert.match(forged.incomplete ?? '', /the receipt was signed by 0x/);
      const other = await auditWith(honest, `0x${'56'.repeat(32)}`);
      assert.equal(other.verdict, 'incomplete');
      assert.match(other.incomplete ?? '', /not for 0x5656/);
    });

    it('says that the journal ends before a receipt', async () => {
      const { lab, exchange } = traded;
      const signer = createRowSigner(lab.engine.key, eip712Domain(lab.node.chainId, lab.vault));
      const last = exchange.rows.at(-1) ?? assert.fail('the journal is empty');
      const row = { ...last, firstSequence: last.lastSequence + 9, lastSequence: last.lastSequence + 9 } as typeof last;
      const signature = await signer(row);
      const { hash: rowHash, merkleRoot, firstSequence: sequence } = row;
      const report = await auditWith({
        sequence,
        rowHash,
        merkleRoot,
        leafIndex: 0,
        leafCount: 1,
        proof: [],
        signature,
      });
      assert.equal(report.verdict, 'incomplete');
      assert.match(report.incomplete ?? '', /the journal ends before the receipt's command/);
    });
  });

  function isInspect(call: { method: string; params: readonly unknown[] }): boolean {
    return call.method === 'eth_call' && (call.params[0] as { data: string }).data.startsWith(SELECTOR);
  }
});

type Path = readonly (string | number)[];

/** The way to every figure and word of a value. */
function leavesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, member]) => leavesOf(member, [...path, key]));
}

/** A copy with one leaf changed by the smallest step. */
function changed<T>(value: T, path: Path): T {
  const [key, ...rest] = path;
  if (key === undefined) return stepped(value) as T;
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string | number, unknown>;
  copy[key] = changed(copy[key], rest);
  return copy as T;
}

function stepped(leaf: unknown): unknown {
  if (typeof leaf === 'bigint') return leaf + 1n;
  if (typeof leaf === 'number') return leaf + 1;
  // An address with one digit changed no longer has its checksum.
  const text = String(leaf).toLowerCase();
  return `${text.slice(0, -1)}${text.endsWith('1') ? '2' : '1'}`;
}

function withWord(data: Hex, index: number, change: (word: bigint) => bigint): Hex {
  const at = 2 + 64 * index;
  const word = change(BigInt(`0x${data.slice(at, at + 64)}`))
    .toString(16)
    .padStart(64, '0');
  return `${data.slice(0, at)}${word}${data.slice(at + 64)}` as Hex;
}
