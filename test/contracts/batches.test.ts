import assert from 'node:assert/strict';
import type { Contract } from 'ethers';
import { encodeBatchContent } from '../../src/chain/batch-codec.ts';
import type { Hash } from '../../src/domain/units.ts';
import { undoAfterEach } from './support/lab-tests.ts';
import { ASSETS, createUser, type LabUser, PLENTY, revertOf, VaultLab } from './support/vault-lab.ts';

describe('batches', () => {
  const [alice, bob] = ['alice', 'bob'].map(createUser) as [LabUser, LabUser];
  let lab: VaultLab;

  const good = async (): Promise<Uint8Array> => {
    const [taker, maker] = [await lab.order(alice), await lab.order(bob, { side: 'sell' })];
    return encodeBatchContent(await lab.content({ fills: [{ taker, maker, size: 2 }] }));
  };
  const refusal = async (...args: Parameters<VaultLab['settleBytes']>) =>
    (await revertOf(lab.settleBytes(...args)))?.name;
  const edited = (content: Uint8Array, offset: number, ...bytes: number[]): Uint8Array => {
    const copy = content.slice();
    copy.set(bytes, offset);
    return copy;
  };

  before(async () => {
    lab = await VaultLab.create();
    for (const user of [alice, bob]) for (const asset of [0, 1, 2]) await lab.fund(user, asset, PLENTY);
  });
  undoAfterEach(() => lab);

  it('id duplicated, gapped, reordered', async () => {
    const content = await good();
    assert.equal(await refusal(content, { id: 0 }), 'WrongBatchId');
    assert.equal(await refusal(content, { id: 2 }), 'WrongBatchId');
    await lab.settleBytes(content);
    assert.equal(await refusal(content, { id: 1, parent: `0x${'00'.repeat(32)}` }), 'WrongBatchId');
  });

  it('wrong parent', async () => {
    await lab.settleBytes(await good());
    assert.equal(await refusal(await good(), { parent: `0x${'00'.repeat(32)}` as Hash }), 'WrongParent');
  });

  it('an epoch far ahead: nobody can use the epochs up', async () => {
    assert.equal(await refusal(await good(), { epoch: 1_025 }), 'EpochTooFar');
    await lab.settleBytes(await good(), { epoch: 1_024 });
    assert.equal(await refusal(await good(), { epoch: 2_049 }), 'EpochTooFar');
  });

  it('stale epoch', async () => {
    await lab.settleBytes(await good(), { epoch: 5 });
    assert.equal(await refusal(await good(), { epoch: 4 }), 'StaleEpoch');
    await lab.settleBytes(await good(), { epoch: 5 });
    await lab.settleBytes(await good(), { epoch: 6 });
  });

  it('signed by another key, or over other bytes', async () => {
    const content = await good();
    assert.equal(await refusal(content, { key: alice }), 'BadEngineSignature');
    const { args } = lab.signBatch(content);
    const [batch, bytes, r, vs] = args;
    const vault = lab.vault.connect(lab.submitter) as Contract;
    for (const other of [
      [{ ...batch, journalSequence: 8 }, bytes, r, vs],
      [{ ...batch, journalHash: `0x${'cd'.repeat(32)}` }, bytes, r, vs],
      [{ ...batch, epoch: 2 }, bytes, r, vs],
      [batch, bytes.replace(/.$/, (last) => (last === '0' ? '1' : '0')), r, vs],
      [batch, bytes, r, `0x${'00'.repeat(32)}`],
    ]) {
      assert.equal((await revertOf(vault['settle']!(...other, { gasLimit: 1_000_000 })))?.name, 'BadEngineSignature');
    }
  });

  it('content that does not end at its last item, or breaks an order', async () => {
    const content = await good();
    assert.equal(await refusal(Uint8Array.of(...content, 0)), 'MalformedContent');
    for (const length of [0, 1, 8, 9, 30, content.length - 14, content.length - 1]) {
      assert.equal(await refusal(content.slice(0, length)), 'MalformedContent', `cut to ${length}`);
    }
    const [first, second] = (
      await lab.content({
        fills: [{ taker: await lab.order(alice), maker: await lab.order(bob, { side: 'sell' }), size: 1 }],
      })
    ).accounts;
    assert.ok(first !== undefined && second !== undefined);
    // Accounts swapped: the second starts after 11 bytes of head and the first account's 23 + 89.
    const account = 11;
    const next = account + 23 + 89;
    const swapped = Uint8Array.of(
      ...content.slice(0, account),
      ...content.slice(next, next + 112),
      ...content.slice(account, next),
      ...content.slice(next + 112),
    );
    assert.equal(await refusal(swapped), 'MalformedContent');
    // The same account twice; account zero; markets that do not rise; an unknown flag; a market position beyond the list.
    assert.equal(await refusal(edited(content, next, ...content.slice(account, account + 20))), 'MalformedContent');
    assert.equal(await refusal(edited(content, account, ...new Uint8Array(20))), 'MalformedContent');
    assert.equal(
      await refusal(Uint8Array.of(...edited(content, 8, 2).slice(0, 11), 0, 0, ...content.slice(11))),
      'MalformedContent',
    );
    assert.equal(await refusal(edited(content, account + 23 + 8, 0x80)), 'MalformedContent');
    assert.equal(await refusal(edited(content, account + 23 + 8, 0x50)), 'MalformedContent');
    assert.equal(await refusal(edited(content, account + 23 + 7, 1)), 'MalformedContent');
    // Counts that lie.
    assert.equal(await refusal(edited(content, 0, 0, 1)), 'MalformedContent');
    assert.equal(await refusal(edited(content, 2, 0, 1)), 'MalformedContent');
    assert.equal(await refusal(edited(content, 2, 0, 3)), 'MalformedContent');
    assert.equal(await refusal(edited(content, 4, 0, 2)), 'MalformedContent');
    assert.equal(await refusal(edited(content, 6, 0, 1)), 'MalformedContent');
  });

  it('index beyond its table', async () => {
    const content = await good();
    const fill = content.length - 13;
    assert.equal(await refusal(edited(content, fill, 0, 2)), 'MalformedContent');
    assert.equal(await refusal(edited(content, fill + 2, 0xff, 0xff)), 'MalformedContent');
  });

  it('pages that an order needs and its account does not list, or that do not rise', async () => {
    const taker = await lab.order(alice, { market: 1 });
    const maker = await lab.order(bob, { market: 1, side: 'sell' });
    const content = await lab.content({ fills: [{ taker, maker, size: 1 }] });
    const withPages = (extraPages: number[]) => ({
      ...content,
      accounts: content.accounts.map((account) => ({ ...account, extraPages })),
    });
    assert.equal(await refusal(encodeBatchContent(withPages([]))), 'MalformedContent');
    assert.equal(await refusal(encodeBatchContent(withPages([2]))), 'MalformedContent');
    const bytes = encodeBatchContent(withPages([1, 2]));
    assert.equal(await refusal(edited(bytes, 11 + 23, 2, 1)), 'MalformedContent');
    assert.equal(await refusal(edited(bytes, 11 + 23, 1, 1)), 'MalformedContent');
    assert.equal(await refusal(edited(bytes, 11 + 23, 0, 1)), 'MalformedContent');
    assert.deepEqual((await lab.settleBytes(bytes)).skips, []);
  });

  it('orders of an account that do not rise by lane and sequence', async () => {
    const [first, second] = [await lab.order(alice), await lab.order(alice)];
    const maker = await lab.order(bob, { side: 'sell' });
    const bytes = encodeBatchContent(
      await lab.content({
        fills: [
          { taker: first, maker, size: 1 },
          { taker: second, maker, size: 1 },
        ],
      }),
    );
    const start =
      [...bytes.keys()].find(
        (index) => Buffer.from(bytes.slice(index, index + 20)).toString('hex') === alice.address.slice(2),
      )! + 23;
    const [one, two] = [bytes.slice(start, start + 89), bytes.slice(start + 89, start + 178)];
    assert.equal(await refusal(edited(edited(bytes, start, ...two), start + 89, ...one)), 'MalformedContent');
    assert.equal(await refusal(edited(bytes, start + 89, ...one)), 'MalformedContent');
  });

  it('only a plain account may submit, so that the transaction’s own input is the batch', async () => {
    const forwarder = await lab.deploy('mocks/Wallets.sol/Forwarder', []);
    const { args } = lab.signBatch(await good());
    const request = lab.vault.interface.encodeFunctionData('settle', args);
    assert.equal((await revertOf(forwarder['forward']!(lab.vault.target, request)))?.name, 'NotFromPlainAccount');
    await lab.connection.networkHelpers.setCode(lab.submitter.address, `0xef0100${lab.deployer.address.slice(2)}`);
    assert.equal(await refusal(await good()), 'NotFromPlainAccount');
  });

  it('out of gas midway, and a submitter that supplies little gas: the batch reverts whole, nothing is skipped', async () => {
    const fills = [];
    for (let lane = 1; lane <= 20; lane++) {
      fills.push({
        taker: await lab.order(alice, { lane }),
        maker: await lab.order(bob, { lane, side: 'sell' }),
        size: 1,
      });
    }
    const withdrawals = [await lab.withdrawal(alice), await lab.withdrawal(bob)];
    const content = encodeBatchContent(await lab.content({ fills, withdrawals }));
    const snapshot = await lab.connection.networkHelpers.takeSnapshot();
    const { gasUsed } = await lab.settleBytes(content);
    await snapshot.restore();
    Object.assign(lab, { batchId: lab.batchId - 1, parent: `0x${'00'.repeat(32)}` });
    let settled = 0;
    let reverted = 0;
    for (let share = 30; share <= 150; share += 10) {
      const again = await lab.connection.networkHelpers.takeSnapshot();
      const { batchId, parent } = lab;
      try {
        const outcome = await lab.settleBytes(content, {}, Number((gasUsed * BigInt(share)) / 100n));
        assert.deepEqual(outcome.skips, []);
        assert.deepEqual(
          outcome.withdrawals.map(({ state }) => state),
          ['executed', 'executed'],
        );
        settled++;
      } catch (error) {
        assert.ok(!(error instanceof assert.AssertionError), String(error));
        reverted++;
      }
      await again.restore();
      Object.assign(lab, { batchId, parent });
    }
    assert.ok(settled > 0 && reverted > 0, `${settled} settled, ${reverted} reverted`);
  });

  it('batch at the gas cap: two hundred trades on other lanes and pages stay below half of it', async () => {
    const fills = [];
    for (let lane = 1; lane <= 100; lane++) {
      fills.push({
        taker: await lab.order(alice, { lane, market: 1 }),
        maker: await lab.order(bob, { lane, market: 1, side: 'sell' }),
        size: 1,
      });
    }
    const { gasUsed, skips } = await lab.settle({ fills });
    assert.deepEqual(skips, []);
    assert.ok(gasUsed < 16_777_216n / 2n, `${gasUsed}`);
  });

  it('an empty batch settles: ids, parents and epochs move on', async () => {
    const { eventSequence } = await lab.settle({});
    const next = await lab.settle({});
    assert.equal(next.eventSequence, eventSequence + 1n);
  });

  it('arbitrary bytes correctly signed by the engine cannot break solvency', async () => {
    const users = [alice, bob];
    let seed = 20_261_123;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const template = await good();
    let settled = 0;
    for (let round = 0; round < 150; round++) {
      const bytes = round % 5 === 0 ? Uint8Array.from({ length: random(300) }, () => random(256)) : template.slice();
      for (let edits = random(4); edits > 0 && bytes.length > 0; edits--) bytes[random(bytes.length)] = random(256);
      if ((await refusal(bytes, {}, 1_500_000)) === undefined) settled++;
      const state = await lab.inspect(users);
      for (const [index, asset] of state.assets.entries()) {
        const balances = state.accounts.reduce(
          (sum: bigint, account: { balances: bigint[] }) => sum + account.balances[index]!,
          0n,
        );
        assert.equal(balances + asset.fees, asset.booked, `seed 20261123, round ${round}, asset ${index}`);
        assert.ok(asset.booked * ASSETS[index]!.quantum <= asset.held);
      }
    }
    assert.ok(settled > 10, `${settled} of 150 settled`);
  });

  it('engine key rotated mid-batch: the successor signs the same content again with a higher epoch', async () => {
    const content = await good();
    const successor = createUser('successor');
    await lab.vault['registerEngineKey']!(successor.address);
    await lab.settleBytes(await good(), { epoch: 3 });
    await (lab.vault.connect(lab.guardian) as Contract)['revokeEngineKey']!();
    assert.equal(await refusal(content, { epoch: 3 }), 'StaleEpoch');
    assert.equal(await refusal(content, { epoch: 4 }), 'BadEngineSignature');
    const { hash } = lab.signBatch(content, { epoch: 3 });
    const settled = await lab.settleBytes(content, { epoch: 4, key: successor });
    assert.equal(settled.batchHash, hash, 'epoch and key stay outside the parent hash');
  });
});
