/**
 * The vault and its specification side by side: a real vault on an in-process chain, and the auditor's plain model of the published rules. Every
 * transaction is foretold from the model, sent at a time of the test's choice, and compared: reverted or not and why, the events and their
 * numbers, every fill and withdrawal, then balances, lanes, totals and tokens held.
 *
 * Times are Unix seconds, amounts quanta. Nothing here knows how the vault is written.
 */
import assert from 'node:assert/strict';
import type { Contract, LogDescription } from 'ethers';
import { Findings } from '../../../src/auditor/findings.ts';
import { judgeFills } from '../../../src/auditor/judge-batch.ts';
import { judgeWithdrawal } from '../../../src/auditor/judge-withdrawals.ts';
import { SIGNERS_HERE } from '../../../src/auditor/order-signers.ts';
import { type Content, readContent } from '../../../src/auditor/read-content.ts';
import { type AuditEvent, lower, type ModelAccount, VaultModel } from '../../../src/auditor/vault-model.ts';
import { bytesToHex } from '../../../src/chain/hex.ts';
import { keccak } from '../../../src/chain/keccak.ts';
import { pageOfAsset } from '../../../src/domain/markets.ts';
import type { Address, Hash, Hex } from '../../../src/domain/units.ts';
import { EXIT_DELAY, GRACE, revertOf, VaultLab, vaultInterface } from '../support/vault-lab.ts';

type Receipt = { readonly logs: readonly { address: string; topics: string[]; data: Hex }[] };

/** What a transaction comes to: the name of the error, or the names of the events in order. */
export type Foretold = { readonly error: string } | { readonly events: readonly string[] };

const GAS = '0xf00000';
/** Executed skips and outcomes as bytes; see docs/batch-format.md, section 4. */
type Judged = { readonly skips: Hex; readonly withdrawals: Hex };

export class Twin {
  readonly lab: VaultLab;
  readonly model: VaultModel;
  readonly findings = new Findings();
  readonly tokens: readonly Address[];
  /** Whose balances and lanes are compared. */
  readonly accounts: readonly Address[];
  readonly figures = { batches: 0, reverted: 0, fills: 0, executed: 0, withdrawals: 0, paid: 0, calls: 0 };
  readonly reasons = new Map<number, number>();
  readonly outcomes = new Map<number, number>();
  /** Time of the last block. */
  now = 0;
  eventSequence = 0;
  readonly #vault: Address;

  private constructor(lab: VaultLab, model: VaultModel, findings: Findings, tokens: Address[], accounts: Address[]) {
    this.lab = lab;
    this.model = model;
    this.findings = findings;
    this.tokens = tokens;
    this.accounts = accounts;
    this.#vault = model.parameters.vault;
  }

  /** A fresh vault with the lab's assets and markets; `accounts` may send transactions. */
  static async create(accounts: readonly Address[]): Promise<Twin> {
    const lab = await VaultLab.create();
    const vault = lower(await lab.vault.getAddress());
    const tokens = await Promise.all(lab.tokens.map(async (token) => lower(await token.getAddress())));
    const findings = new Findings();
    const model = new VaultModel(
      {
        chainId: lab.digester.domain.chainId,
        vault,
        deployedAt: lab.deployedAt,
        grace: GRACE,
        exitDelay: EXIT_DELAY,
        wrappedNative: tokens[0] as Address,
      },
      findings,
    );
    const twin = new Twin(lab, model, findings, tokens, [...accounts]);
    const { provider } = lab.connection;
    for (const account of accounts) {
      await provider.request({ method: 'hardhat_impersonateAccount', params: [account] });
      await provider.request({ method: 'hardhat_setBalance', params: [account, '0xffffffffffffffffffffff'] });
    }
    // Minted wrapped ether has no ether behind it.
    await provider.request({ method: 'hardhat_setBalance', params: [tokens[0], '0xffffffffffffffffffffff'] });
    await twin.#catchUp();
    return twin;
  }

  /** Applies what happened before the twin was there: listings above all. */
  async #catchUp(): Promise<void> {
    const filter = { address: this.#vault, fromBlock: '0x0', toBlock: 'latest' };
    const logs = (await this.#request('eth_getLogs', [filter])) as (Receipt['logs'][number] & { blockNumber: Hex })[];
    const times = new Map<Hex, number>();
    for (const log of logs) {
      let time = times.get(log.blockNumber);
      if (time === undefined) {
        const block = (await this.#request('eth_getBlockByNumber', [log.blockNumber, false])) as { timestamp: Hex };
        time = Number(block.timestamp);
        times.set(log.blockNumber, time);
      }
      this.#apply(this.#parse(log), time);
    }
    this.now = await this.lab.now();
  }

  #request(method: string, params: unknown[]): Promise<unknown> {
    return this.lab.connection.provider.request({ method, params });
  }

  account(address: Address): ModelAccount {
    return this.model.account(address);
  }

  get isPaused(): boolean {
    return this.now < this.model.pausedUntil;
  }

  /** Sets the time of the next transaction's block: `seconds` later, at least one. */
  async later(seconds: number): Promise<void> {
    this.now += Math.max(1, Math.floor(seconds));
    await this.#request('evm_setNextBlockTimestamp', [this.now]);
  }

  /** Sends at `now` and compares with what was foretold. Call `later` first. */
  async call(from: string, method: string, args: readonly unknown[], foretold: Foretold): Promise<void> {
    this.figures.calls += 1;
    const data = vaultInterface.encodeFunctionData(method, args as unknown[]) as Hex;
    const { error, events } = await this.#send(from, this.#vault, data);
    const expected = 'error' in foretold ? foretold.error : foretold.events.join(' ');
    assert.equal(error ?? events.map(({ name }) => name).join(' '), expected, `${method} of ${from} at ${this.now}`);
    for (const event of events) this.#apply(event, this.now);
  }

  async #send(from: string, to: string, data: Hex): Promise<{ error?: string; events: LogDescription[] }> {
    let hash: unknown;
    const reverted = await revertOf(
      this.#request('eth_sendTransaction', [{ from, to, data, gas: GAS }]).then((sent) => {
        hash = sent;
      }),
    );
    if (reverted !== undefined) return { error: reverted.name, events: [] };
    const receipt = (await this.#request('eth_getTransactionReceipt', [hash])) as Receipt;
    const own = receipt.logs.filter(({ address }) => address.toLowerCase() === this.#vault);
    return { events: own.map((log) => this.#parse(log)) };
  }

  /** Something that is not the vault's own, like minting; must succeed. */
  async prepare(from: string, contract: Contract, method: string, args: readonly unknown[]): Promise<void> {
    await this.later(1);
    const data = contract.interface.encodeFunctionData(method, args as unknown[]) as Hex;
    await this.#request('eth_sendTransaction', [{ from, to: contract.target, data, gas: GAS }]);
  }

  #parse(log: { topics: readonly string[]; data: string }): LogDescription {
    const parsed = vaultInterface.parseLog({ topics: [...log.topics], data: log.data });
    assert.ok(parsed !== null, 'an event of the vault is not in its ABI');
    return parsed;
  }

  #apply(event: LogDescription, blockTime: number): void {
    this.eventSequence += 1;
    assert.equal(Number(event.args['eventSequence']), this.eventSequence, `number of ${event.name}`);
    if (event.name === 'BatchSettled') return;
    const made: AuditEvent = { name: event.name, args: event.args.toObject(), blockTime, transaction: '0x' as Hash };
    this.model.apply(made);
    assert.deepEqual(this.findings.failures, [], `${event.name} at ${blockTime}`);
  }

  /** Settles bytes, signed as the next batch with `overrides`; all of it must come out as the rules say. */
  async settle(content: Uint8Array, overrides: Parameters<VaultLab['signBatch']>[1] = {}): Promise<void> {
    const { model, lab, now } = this;
    lab.batchId = model.batchId;
    lab.parent = model.batchHash;
    const epoch = overrides.epoch ?? model.epoch;
    const key = overrides.key ?? lab.engine;
    const { args, hash } = lab.signBatch(content, { ...overrides, epoch, key });
    const [batch] = args;
    const data = vaultInterface.encodeFunctionData('settle', [...args]) as Hex;
    const refusal = this.#refusal(batch, key.address, content);
    const { error, events } = await this.#send(lab.submitter.address, this.#vault, data);
    // Counts that nobody could afford run out of gas before the malformed byte is met.
    const isExhausted = refusal === 'MalformedContent' && error === 'nothing';
    if (!isExhausted) assert.equal(error, typeof refusal === 'string' ? refusal : undefined, `settling at ${now}`);
    if (typeof refusal === 'string') {
      this.figures.reverted += 1;
      return;
    }
    const judged = this.#judge(refusal, now);
    assert.equal(events.length, 1);
    const event = events[0] as LogDescription;
    this.#apply(event, now);
    assert.deepEqual(
      {
        id: Number(event.args['id']),
        epoch: Number(event.args['epoch']),
        contentHash: event.args['contentHash'],
        batchHash: event.args['batchHash'],
        skips: event.args['skips'],
        withdrawals: event.args['withdrawals'],
      },
      {
        id: model.batchId + 1,
        epoch,
        contentHash: keccak(bytesToHex(content)),
        batchHash: hash,
        skips: judged.skips,
        withdrawals: judged.withdrawals,
      },
      `batch ${batch.id} at ${now}`,
    );
    model.batchId += 1;
    model.batchHash = hash;
    model.epoch = epoch;
    this.figures.batches += 1;
    await this.#compareTouched(refusal);
  }

  /** Why a batch as a whole must be refused, or its content. */
  #refusal(batch: { id: number; parent: Hash; epoch: number }, signer: Address, content: Uint8Array): string | Content {
    const { model } = this;
    if (this.isPaused) return 'VaultPaused';
    if (batch.id !== model.batchId + 1) return 'WrongBatchId';
    if (batch.parent !== model.batchHash) return 'WrongParent';
    if (batch.epoch < model.epoch) return 'StaleEpoch';
    if (signer !== model.engineKey) return 'BadEngineSignature';
    try {
      const read = readContent(content);
      return this.#listsItsPages(content, read) ? read : 'MalformedContent';
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
      return 'MalformedContent';
    }
  }

  /** An order of an open market on a page that its account does not list is malformed; the content reader drops the lists. */
  #listsItsPages(bytes: Uint8Array, content: Content): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 9 + 2 * view.getUint8(8);
    let order = 0;
    for (let accounts = view.getUint16(0); accounts > 0; accounts--) {
      const pageCount = view.getUint8(at + 20);
      const pages = new Set([0, ...bytes.subarray(at + 23, at + 23 + pageCount)]);
      const last = order + view.getUint16(at + 21);
      at += 23 + pageCount;
      for (; order < last; order++) {
        const { market: index, authorisation } = content.orders[order] as Content['orders'][number];
        const market = this.model.markets[index];
        const closedAt = market?.delistedAt === undefined ? undefined : market.delistedAt + GRACE;
        const isOpen = market !== undefined && (closedAt === undefined || this.now <= closedAt);
        if (isOpen && ![market.base, market.quote].every((asset) => pages.has(pageOfAsset(asset).page))) return false;
        at += 25 + (authorisation === 'owner' || authorisation === 'session' ? 64 : 0);
        at += authorisation === 'verified_session' ? 20 : 0;
      }
    }
    return true;
  }

  /** What the rules make of a well-formed batch; applies it to the model. */
  #judge(content: Content, now: number): Judged {
    const { verdicts } = judgeFills(this.model, this.lab.digester, SIGNERS_HERE, content, now);
    let skips = '0x';
    let executed = 0;
    for (const [index, { reason, fault }] of verdicts.entries()) {
      this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
      if (reason === 0) executed += 1;
      else skips += hex(index, 2) + hex(fault === 'maker' ? 1 : 0, 1) + hex(reason, 1);
    }
    let withdrawals = '0x';
    for (const [index, withdrawal] of content.withdrawals.entries()) {
      // Nobody here is a contract, and the tokens always pay: an ERC-1271 check fails, a transfer works.
      const { outcome } = judgeWithdrawal(
        this.model,
        this.lab.digester,
        withdrawal,
        withdrawal.isContractWallet ? 1 : 0,
        now,
      );
      withdrawals += hex(index, 2) + hex(outcome, 1) + hex(withdrawal.amount, 7) + hex(withdrawal.fee, 7);
      this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
      if (outcome === 0) this.figures.paid += 1;
    }
    this.figures.fills += verdicts.length;
    this.figures.executed += executed;
    this.figures.withdrawals += content.withdrawals.length;
    return { skips: skips as Hex, withdrawals: withdrawals as Hex };
  }

  /** Totals, balances and lane 0 of all accounts, and every other lane that the batch names. */
  async #compareTouched(content: Content): Promise<void> {
    await this.compareBooks();
    const named = new Set(
      content.orders.filter(({ lane }) => lane > 0).map(({ account, lane }) => `${account} ${lane}`),
    );
    for (const name of named) {
      const [account, lane] = name.split(' ') as [Address, string];
      await this.#compareLane(account, Number(lane));
    }
    for (const { account, lane } of content.withdrawals) {
      const [sequence] = await this.#view('withdrawalLane', [account, lane]);
      assert.equal(Number(sequence), this.account(account).withdrawalLanes.get(lane) ?? 0, `withdrawal lane ${lane}`);
    }
  }

  async #compareLane(account: Address, lane: number): Promise<void> {
    const [sequence, filledLots, tag] = await this.#view('laneState', [account, lane]);
    const derived = this.account(account).lanes.get(lane) ?? { sequence: 0, filledLots: 0, tag: `0x${'0'.repeat(40)}` };
    assert.deepEqual(
      { sequence: Number(sequence), filledLots: Number(filledLots), tag },
      { ...derived },
      `lane ${lane} of ${account}`,
    );
  }

  /** Everything that `inspect` shows, against the model, P4 included. */
  async compareBooks(): Promise<void> {
    const known = [...new Set([...this.accounts, ...this.model.accounts.keys()])];
    const [state] = await this.#view('inspect', [known]);
    const { model } = this;
    assert.equal(Number(state.batchId), model.batchId, 'batch id');
    assert.equal(state.batchHash, model.batchHash, 'batch hash');
    assert.equal(Number(state.epoch), model.epoch, 'epoch');
    assert.equal(Number(state.eventSequence), this.eventSequence, 'event sequence');
    assert.equal(lower(state.engineKey), model.engineKey, 'engine key');
    for (const [index, shown] of [...state.assets].entries()) {
      const asset = model.assets[index] as VaultModel['assets'][number];
      const sum = known.reduce((total, account) => total + (this.account(account).balances[index] ?? 0), asset.fees);
      assert.deepEqual(
        { booked: Number(shown.booked), fees: Number(shown.fees), sum },
        { booked: asset.booked, fees: asset.fees, sum: asset.booked },
        `totals of asset ${index}`,
      );
      assert.equal(shown.held, BigInt(asset.booked) * asset.quantumUnits, `tokens of asset ${index}`);
    }
    for (const shown of state.accounts) {
      const account = lower(shown.account);
      const derived = this.account(account);
      const lane = derived.lanes.get(0);
      assert.deepEqual(
        {
          balances: [...shown.balances].map(Number),
          sequence: Number(shown.lane0Sequence),
          filled: Number(shown.lane0FilledLots),
        },
        {
          balances: model.assets.map((_, index) => derived.balances[index] ?? 0),
          sequence: lane?.sequence ?? 0,
          filled: lane?.filledLots ?? 0,
        },
        `books of ${account}`,
      );
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: what a view returns is described by its ABI alone.
  async #view(method: string, args: readonly unknown[]): Promise<any> {
    const data = vaultInterface.encodeFunctionData(method, args as unknown[]);
    const block = { to: this.#vault, data };
    const answer = (await this.#request('eth_call', [block, 'latest'])) as string;
    return vaultInterface.decodeFunctionResult(method, answer);
  }
}

const hex = (value: number | bigint, bytes: number): string => value.toString(16).padStart(2 * bytes, '0');
