/**
 * Logs of the vault as facts for the engine.
 *
 * Every event carries the vault's gapless event sequence; every one becomes a fact, those that do not concern the engine as
 * `chainEventNoted`, so that the sequence stays gapless on its way through the exchange. Decoded by hand from fixed words,
 * because backfills read these by the hundred thousand; a test holds the table against the generated ABI.
 *
 * A market's symbol is made of its assets' symbols, which earlier events told: the decoder remembers them. Events are to be
 * decoded in order; after a restart, `assetSymbols` seeds what was seen before.
 */
import type { WithdrawalOutcome, WithdrawalOutcomeCode } from '../domain/batches.ts';
import { WITHDRAWAL_OUTCOMES } from '../domain/batches.ts';
import type { ChainFact } from '../domain/commands.ts';
import {
  type Address,
  type ChainEventSequence,
  type Hash,
  type Hex,
  lots,
  type Ppm,
  priceTicks,
  quanta,
  type TimestampSeconds,
} from '../domain/units.ts';
import { bytesToHex, hexToBytes } from './hex.ts';
import { keccakText } from './keccak.ts';

/** A log as any client gives it; `topics[0]` names the event. */
export type VaultLog = { readonly topics: readonly Hex[]; readonly data: Hex };

export type VaultEvent = {
  /** Name in the ABI. */
  readonly name: string;
  readonly eventSequence: ChainEventSequence;
  readonly fact: ChainFact;
};

export type VaultDecoder = {
  /** @throws RangeError when the log is not one of the vault's events, or is cut. */
  readonly decode: (log: VaultLog) => VaultEvent;
};

type Read = (event: EventWords, symbols: ReadonlyMap<number, string>) => ChainFact;

const noted =
  (name: string): Read =>
  () => ({ kind: 'chainEventNoted', name });

/** Every event of the vault: its signature, and how its words become a fact. */
const EVENTS: readonly (readonly [signature: string, read: Read])[] = [
  ['BatchSettled(uint64,uint64,uint64,bytes32,bytes32,bytes,bytes)', readBatchSettled],
  [
    'Deposited(uint64,address,uint16,uint64,address)',
    (event) => ({
      kind: 'depositCredited',
      account: event.topicAddress(1),
      asset: event.topicNumber(2),
      amount: quanta(event.number(1)),
    }),
  ],
  ['ExitRequested(uint64,address,uint16,uint64)', (event) => ({ kind: 'exitRequested', ...accountAsset(event) })],
  ['ExitCancelled(uint64,address,uint16)', (event) => ({ kind: 'exitCancelled', ...accountAsset(event) })],
  [
    'ExitExecuted(uint64,address,uint16,uint64,address)',
    (event) => ({ kind: 'exitExecuted', ...accountAsset(event), amount: quanta(event.number(1)) }),
  ],
  [
    'OrdersCancelled(uint64,address,uint64,uint64)',
    (event) => ({ kind: 'ordersCancelledOnChain', account: event.topicAddress(1), beforeSequence: event.number(1) }),
  ],
  [
    'OrderRegistered(uint64,address,bytes32)',
    (event) => ({ kind: 'orderRegistered', account: event.topicAddress(1), digest: event.bytes32(1) }),
  ],
  [
    'SessionKeyRegistered(uint64,address,address,uint64,uint256,uint64)',
    (event) => ({
      kind: 'sessionKeyRegistered',
      account: event.topicAddress(1),
      key: event.topicAddress(2),
      validUntil: event.number(1) as TimestampSeconds,
      marketMask: event.bigint(2),
    }),
  ],
  [
    'SessionKeyRevoked(uint64,address,address,uint64)',
    (event) => ({
      kind: 'sessionKeyRevoked',
      account: event.topicAddress(1),
      key: event.topicAddress(2),
      validUntil: event.number(1) as TimestampSeconds,
    }),
  ],
  ['AssetListed(uint64,uint16,address,uint64,uint64,uint8,string)', readAssetListed],
  ['MarketListed(uint64,uint16,uint16,uint16,uint64,uint64,uint40,uint32)', readMarketListed],
  ['MarketDelisted(uint64,uint16)', (event) => ({ kind: 'marketDelisted', market: event.topicNumber(1) })],
  [
    'FeesCollected(uint64,uint16,uint64)',
    (event) => ({ kind: 'feesCollected', asset: event.topicNumber(1), amount: quanta(event.number(1)) }),
  ],
  [
    'FeesChanged(uint64,uint16,uint16)',
    (event) => ({ kind: 'feesChanged', takerFeePpm: event.number(1) as Ppm, makerFeePpm: event.number(2) as Ppm }),
  ],
  ['OutflowLimitChanged(uint64,uint16,uint64,uint32)', noted('OutflowLimitChanged')],
  ['EngineKeyRegistered(uint64,address,bool)', noted('EngineKeyRegistered')],
  ['EngineKeyRevoked(uint64,address,address,uint64)', noted('EngineKeyRevoked')],
  ['Paused(uint64,uint64)', noted('Paused')],
  ['Unpaused(uint64)', noted('Unpaused')],
  ['GuardianChanged(uint64,address)', noted('GuardianChanged')],
  ['GovernanceTransferred(uint64,address)', noted('GovernanceTransferred')],
];

const BY_TOPIC: ReadonlyMap<string, { readonly name: string; readonly read: Read }> = new Map(
  EVENTS.map(([signature, read]) => [
    bytesToHex(keccakText(signature)),
    { name: signature.slice(0, signature.indexOf('(')), read },
  ]),
);

/** topics[0] of every event of the vault. */
export const VAULT_EVENT_TOPICS: ReadonlySet<string> = new Set(BY_TOPIC.keys());

/** @param assetSymbols symbols of assets listed before the first event that will be decoded */
export function createVaultDecoder(
  assetSymbols: Iterable<readonly [index: number, symbol: string]> = [],
): VaultDecoder {
  const symbols = new Map(assetSymbols);
  return {
    decode: (log) => {
      const entry = BY_TOPIC.get(log.topics[0] ?? '');
      if (entry === undefined) throw new RangeError(`no event of the vault has the topic ${log.topics[0]}`);
      const event = new EventWords(log);
      const fact = entry.read(event, symbols);
      if (fact.kind === 'assetListed') symbols.set(fact.asset.index, fact.asset.symbol);
      // The sequence is the first unindexed word of every event.
      return { name: entry.name, eventSequence: event.number(0) as ChainEventSequence, fact };
    },
  };
}

function accountAsset(event: EventWords): { account: Address; asset: number } {
  return { account: event.topicAddress(1), asset: event.topicNumber(2) };
}

function readAssetListed(event: EventWords): ChainFact {
  return {
    kind: 'assetListed',
    asset: {
      index: event.topicNumber(1),
      token: event.topicAddress(2),
      symbol: new TextDecoder().decode(event.dynamic(4)),
      decimals: event.number(3),
      quantumUnits: event.bigint(1),
      minDeposit: quanta(event.number(2)),
    },
  };
}

function readMarketListed(event: EventWords, symbols: ReadonlyMap<number, string>): ChainFact {
  const baseAsset = event.number(1);
  const quoteAsset = event.number(2);
  const base = symbols.get(baseAsset);
  const quote = symbols.get(quoteAsset);
  if (base === undefined || quote === undefined) {
    throw new RangeError(
      `market ${event.topicNumber(1)} lists assets ${baseAsset} and ${quoteAsset}, not both seen before`,
    );
  }
  return {
    kind: 'marketListed',
    market: {
      index: event.topicNumber(1),
      symbol: `${base}-${quote}`,
      baseAsset,
      quoteAsset,
      lotQuanta: quanta(event.number(3)),
      tickQuanta: quanta(event.number(4)),
      maxSizeLots: lots(event.number(5)),
      maxPriceTicks: priceTicks(event.number(6)),
    },
  };
}

/** The packed outcomes are laid out in docs/batch-format.md, section 4. */
function readBatchSettled(event: EventWords): ChainFact {
  return {
    kind: 'batchSettled',
    batchId: event.topicNumber(1),
    contentHash: event.bytes32(2),
    skips: decodeSkips(event.dynamic(4)).map(({ trade, reason }) => ({ trade, reason })),
    withdrawals: decodeWithdrawalOutcomes(event.dynamic(5)),
  };
}

const SKIP_BYTES = 4;
const WITHDRAWAL_BYTES = 17;

/** `fault` tells which of the trade's orders was to blame. @throws RangeError when the bytes do not divide evenly. */
export function decodeSkips(bytes: Uint8Array): { trade: number; fault: 'taker' | 'maker'; reason: number }[] {
  if (bytes.length % SKIP_BYTES !== 0)
    throw new RangeError(`skips come in ${SKIP_BYTES} bytes each, got ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / SKIP_BYTES }, (_, index) => ({
    trade: view.getUint16(index * SKIP_BYTES),
    fault: view.getUint8(index * SKIP_BYTES + 2) === 1 ? 'maker' : 'taker',
    reason: view.getUint8(index * SKIP_BYTES + 3),
  }));
}

/** @throws RangeError when the bytes do not divide evenly, or a reason is unknown. */
export function decodeWithdrawalOutcomes(bytes: Uint8Array): WithdrawalOutcome[] {
  if (bytes.length % WITHDRAWAL_BYTES !== 0) {
    throw new RangeError(`withdrawal outcomes come in ${WITHDRAWAL_BYTES} bytes each, got ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / WITHDRAWAL_BYTES }, (_, index) => {
    const code = view.getUint8(index * WITHDRAWAL_BYTES + 2);
    const reason = WITHDRAWAL_OUTCOMES[code as WithdrawalOutcomeCode];
    if (reason === undefined) throw new RangeError(`no withdrawal outcome has the number ${code}`);
    return { index: view.getUint16(index * WITHDRAWAL_BYTES), state: code === 0 ? 'executed' : 'failed', reason };
  });
}

/** Topics and ABI words of one log. Integers are read as safe integers unless asked for as bigint. */
class EventWords {
  readonly #log: VaultLog;

  constructor(log: VaultLog) {
    this.#log = log;
  }

  number(index: number): number {
    return safeInteger(this.#word(index));
  }

  bigint(index: number): bigint {
    return BigInt(`0x${this.#word(index)}`);
  }

  bytes32(index: number): Hash {
    return `0x${this.#word(index)}`;
  }

  /** Bytes of the dynamic value whose offset stands in word `index`. */
  dynamic(index: number): Uint8Array {
    const start = 2 + 2 * this.number(index);
    const length = safeInteger(this.#log.data.slice(start, start + 64));
    const digits = this.#log.data.slice(start + 64, start + 64 + 2 * length);
    if (digits.length !== 2 * length)
      throw new RangeError(`event data end ${2 * length - digits.length} digits too early`);
    return hexToBytes(`0x${digits}`);
  }

  topicNumber(index: number): number {
    return safeInteger(this.#topic(index));
  }

  topicAddress(index: number): Address {
    return `0x${this.#topic(index).slice(24)}`;
  }

  #topic(index: number): string {
    const topic = this.#log.topics[index];
    if (topic?.length !== 66) throw new RangeError(`the event has no topic ${index}`);
    return topic.slice(2);
  }

  #word(index: number): string {
    const word = this.#log.data.slice(2 + 64 * index, 66 + 64 * index);
    if (word.length !== 64) throw new RangeError(`the event has no word ${index}`);
    return word;
  }
}

function safeInteger(word: string): number {
  const value = Number.parseInt(word, 16);
  if (!Number.isSafeInteger(value))
    throw new RangeError(`expected an integer below 2^53, got ${word === '' ? 'nothing' : `0x${word}`}`);
  return value;
}
