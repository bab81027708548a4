/** The engine and a journal in memory in front of a settlement lab: honest batches on a real vault, and the journal that explains them. */
import { contentOfSealedBatch, encodeBatchContent } from '../../src/chain/batch-codec.ts';
import { createVaultDecoder } from '../../src/chain/vault-events.ts';
import type { SealedBatch } from '../../src/domain/batches.ts';
import { encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { Command } from '../../src/domain/commands.ts';
import type { EngineEvent } from '../../src/domain/events.ts';
import type { JournalRow } from '../../src/domain/journal.ts';
import type { Side, TimeInForce } from '../../src/domain/orders.ts';
import {
  type Hash,
  type Hex,
  type JournalSequence,
  lots,
  type Ppm,
  priceTicks,
  quanta,
  type TimestampMs,
  type TimestampSeconds,
} from '../../src/domain/units.ts';
import { Engine } from '../../src/offchain-engine/engine.ts';
import { buildRow, NO_PREVIOUS_HASH } from '../../src/offchain-engine/sequencer/journal-row.ts';
import { LAB_MARKETS, type LabUser, type SettlementLab, signCompact } from './settlement-lab.ts';

export class LabExchange {
  readonly lab: SettlementLab;
  readonly engine = new Engine();
  readonly rows: JournalRow[] = [];
  readonly #decoder = createVaultDecoder();
  readonly #signatures = new Map<Hash, Hex>();
  #nowMs = 0;
  #lastNonce = 0;

  private constructor(lab: SettlementLab) {
    this.lab = lab;
  }

  /** An exchange that knows what is listed and deposited so far. */
  static async open(lab: SettlementLab): Promise<LabExchange> {
    const exchange = new LabExchange(lab);
    exchange.#nowMs = (await lab.now()) * 1000;
    exchange.commit([
      {
        kind: 'genesis',
        chainId: lab.node.chainId,
        vault: lab.vault,
        deployedAtMs: (lab.deployedAt * 1000) as TimestampMs,
        limits: {
          openOrdersPerAccountMax: 200,
          batchesInFlightMax: 8,
          unsettledAgeMaxMs: 3_600_000,
          orderAgeMaxMs: 3_600_000,
        },
        defaultParameters: {
          makerFeePpm: 200 as Ppm,
          takerFeePpm: 500 as Ppm,
          minNotional: quanta(1),
          priceBandPpm: 0,
        },
        withdrawalFees: [{ asset: 1, fee: quanta(5) }],
      },
      { kind: 'epochStarted', epoch: 1 },
    ]);
    await exchange.feed();
    return exchange;
  }

  /** Journals commands as one row and applies them. */
  commit(commands: readonly Command[]): EngineEvent[] {
    if (commands.length === 0) return [];
    const first = this.engine.lastSequence + 1;
    const sequenced = commands.map((command, index) => ({
      sequence: (first + index) as JournalSequence,
      timestampMs: this.#nowMs as TimestampMs,
      command,
    }));
    const previous = this.rows.at(-1)?.hash ?? NO_PREVIOUS_HASH;
    const { row } = buildRow(previous, 1, first, sequenced.map(encodeSequencedCommand));
    this.rows.push({ ...row, committedAtMs: this.#nowMs as TimestampMs });
    return sequenced.flatMap((command) => this.engine.apply(command).events);
  }

  /** Hands the engine every event of the vault that it has not seen. */
  async feed(): Promise<EngineEvent[]> {
    this.#nowMs = Math.max(this.#nowMs, (await this.lab.now()) * 1000);
    const filter = { address: this.lab.vault, fromBlock: '0x0', toBlock: 'latest' };
    const logs = (await this.lab.rpc.request('eth_getLogs', [filter])) as { topics: Hex[]; data: Hex }[];
    const commands = logs.map((log): Command => {
      const { fact, eventSequence } = this.#decoder.decode(log);
      return { ...fact, eventSequence };
    });
    return this.commit(commands.slice(this.engine.lastChainEventSequence));
  }

  /** Signs and places an order at the present time; each order has a lane of its own. */
  async place(
    user: LabUser,
    terms: {
      market?: number;
      side: Side;
      sizeLots: number;
      priceTicks: number;
      timeInForce?: TimeInForce;
      lane?: number;
    },
  ): Promise<EngineEvent[]> {
    this.#lastNonce = Math.max(this.#lastNonce + 1, this.#nowMs - this.lab.deployedAt * 1000);
    const signed = {
      account: user.address,
      market: terms.market ?? 0,
      side: terms.side,
      sizeLots: lots(terms.sizeLots),
      priceTicks: priceTicks(terms.priceTicks),
      timeInForce: terms.timeInForce ?? ('gtc' as const),
      postOnly: false,
      lane: terms.lane ?? 1 + (this.#lastNonce % 60_000),
      orderSequence: this.#lastNonce,
      expiry: (Math.floor(this.#nowMs / 1000) + 7_200) as TimestampSeconds,
      maxFeePpm: 1_000 as Ppm,
    };
    const digest = this.lab.orderDigest(signed);
    const signature = await signCompact(user.key, digest);
    this.#signatures.set(digest, signature);
    const rest = { clientOrderId: '', selfTradePrevention: 'cancel_newest' as const, stop: undefined };
    return this.commit([
      { kind: 'placeOrder', order: { ...signed, signer: user.address, digest, signature, ...rest } },
    ]);
  }

  async withdraw(user: LabUser, asset: number, amount: number): Promise<EngineEvent[]> {
    this.#lastNonce = Math.max(this.#lastNonce + 1, this.#nowMs - this.lab.deployedAt * 1000);
    const terms = {
      account: user.address,
      asset,
      amount: quanta(amount),
      recipient: user.address,
      lane: 0,
      withdrawalSequence: this.#lastNonce,
      expiry: (Math.floor(this.#nowMs / 1000) + 7_200) as TimestampSeconds,
      maxFee: quanta(10),
      native: false,
    };
    const digest = this.lab.withdrawalDigest({ ...terms, fee: quanta(0) });
    const signature = await signCompact(user.key, digest);
    this.#signatures.set(digest, signature);
    return this.commit([{ kind: 'requestWithdrawal', withdrawal: { ...terms, digest, signature } }]);
  }

  /** Seals a batch: the last command of its row. */
  seal(): SealedBatch {
    const events = this.commit([{ kind: 'sealBatch', tradesMax: 100, withdrawalsMax: 10 }]);
    for (const event of events) if (event.kind === 'batchSealed') return event.batch;
    throw new Error('there was nothing to seal');
  }

  /** The packed content of a sealed batch, honest to the byte. */
  contentOf(batch: SealedBatch): Uint8Array {
    const signatureOf = (digest: Hash | undefined): Hex => this.#signatures.get(digest ?? '0x') ?? '0x';
    const content = contentOfSealedBatch(batch, {
      market: (index) => {
        const market = LAB_MARKETS[index];
        if (market === undefined) throw new Error(`the lab has no market ${index}`);
        return { baseAsset: market.base, quoteAsset: market.quote };
      },
      orderSignature: (index) => signatureOf(batch.orders[index]?.digest),
      withdrawalSignature: (index) => signatureOf(batch.withdrawals[index]?.digest),
    });
    return encodeBatchContent(content);
  }

  /** What the batch's engine signature commits to. */
  commitmentOf(batch: SealedBatch): { journalSequence: number; journalHash: Hash } {
    const row = this.rows.find(({ lastSequence }) => lastSequence === batch.journalSequence);
    if (row === undefined) throw new Error('the seal is not the last command of its row');
    return { journalSequence: batch.journalSequence, journalHash: row.hash };
  }

  /** Seals, settles on chain and hears of it. */
  async settle(): Promise<Hash> {
    const batch = this.seal();
    const transaction = await this.lab.settle(this.contentOf(batch), this.commitmentOf(batch));
    await this.feed();
    return transaction;
  }
}
