/**
 * The call of `inspect` and its answer, laid out by hand: a sweep decodes a hundred thousand accounts, for which a general ABI decoder takes
 * most of the time. A test holds both directions against the ABI.
 *
 * An answer is words of 64 hex digits. Offsets count bytes from the start of the tuple or list that they stand in.
 */
import { type Address, type ChainEventSequence, type Hash, type Hex, type Quanta, quanta } from '../domain/units.ts';
import type { VaultAccountState, VaultAssetState, VaultState } from './inspect-vault.ts';
import { keccakText } from './keccak.ts';

const SELECTOR = Buffer.from(keccakText('inspect(address[])').subarray(0, 4)).toString('hex');
const ASSET_WORDS = 5;

export function encodeInspectCall(accounts: readonly Address[]): Hex {
  const words = accounts.map((account) => account.slice(2).padStart(64, '0'));
  return `0x${SELECTOR}${'20'.padStart(64, '0')}${accounts.length.toString(16).padStart(64, '0')}${words.join('')}`;
}

/** @throws RangeError when the answer is cut, or a figure is no safe integer */
export function decodeInspectAnswer(answer: Hex): VaultState {
  const words = new AnswerWords(answer);
  const state = words.number(0) / 32;
  const assets = state + words.number(state + 6) / 32;
  const accounts = state + words.number(state + 7) / 32;
  const assetCount = words.number(assets);
  const accountCount = words.number(accounts);
  return {
    batchId: words.number(state),
    batchHash: words.hash(state + 1),
    epoch: words.number(state + 2),
    eventSequence: words.number(state + 3) as ChainEventSequence,
    pausedUntil: words.number(state + 4),
    engineKey: words.address(state + 5),
    assets: Array.from({ length: assetCount }, (_, index) => assetAt(words, assets + 1 + ASSET_WORDS * index, index)),
    accounts: Array.from({ length: accountCount }, (_, index) =>
      accountAt(words, accounts + 1 + words.number(accounts + 1 + index) / 32),
    ),
  };
}

function assetAt(words: AnswerWords, at: number, asset: number): VaultAssetState {
  return {
    asset,
    token: words.address(at),
    quantumUnits: words.bigint(at + 1),
    booked: quanta(words.number(at + 2)),
    fees: quanta(words.number(at + 3)),
    heldUnits: words.bigint(at + 4),
  };
}

function accountAt(words: AnswerWords, at: number): VaultAccountState {
  const balances = at + words.number(at + 5) / 32;
  const count = words.number(balances);
  const shown: Quanta[] = [];
  for (let index = 0; index < count; index++) shown.push(quanta(words.number(balances + 1 + index)));
  return {
    account: words.address(at),
    cancelledBefore: words.number(at + 1),
    cancellingBefore: words.number(at + 2),
    lane0Sequence: words.number(at + 3),
    lane0FilledLots: words.number(at + 4),
    balances: shown,
  };
}

class AnswerWords {
  readonly #answer: string;

  constructor(answer: Hex) {
    this.#answer = answer;
  }

  number(index: number): number {
    const value = Number.parseInt(this.#word(index), 16);
    if (!Number.isSafeInteger(value)) throw new RangeError(`word ${index} is no safe integer`);
    return value;
  }

  bigint(index: number): bigint {
    return BigInt(`0x${this.#word(index)}`);
  }

  hash(index: number): Hash {
    return `0x${this.#word(index)}`;
  }

  address(index: number): Address {
    return `0x${this.#word(index).slice(24)}`;
  }

  #word(index: number): string {
    const word = this.#answer.slice(2 + 64 * index, 66 + 64 * index);
    if (word.length !== 64) throw new RangeError(`the answer ends before word ${index}`);
    return word;
  }
}
