import assert from 'node:assert/strict';
import { type AbiEvent, encodeAbiParameters, encodeEventTopics, type Hex, toEventSelector } from 'viem';
import { vaultAbi } from '../../src/chain/generated/vault.ts';
import { createVaultDecoder, decodeSkips, VAULT_EVENT_TOPICS, type VaultLog } from '../../src/chain/vault-events.ts';

const events = (vaultAbi as readonly { type: string }[]).filter(
  (item) => item.type === 'event',
) as unknown as readonly AbiEvent[];
const account = `0x${'a1'.repeat(20)}` as const;
const key = `0x${'b2'.repeat(20)}` as const;
const hash = `0x${'c3'.repeat(32)}` as const;

/** A log as the vault would write it, by the generated ABI. */
function logOf(name: string, values: Readonly<Record<string, unknown>>): VaultLog {
  const event = events.find((item) => item.name === name);
  assert.ok(event !== undefined, name);
  const plain = event.inputs.filter((input) => input.indexed !== true);
  return {
    topics: encodeEventTopics({ abi: [event], eventName: name, args: values } as never) as Hex[],
    data: encodeAbiParameters(
      plain,
      plain.map((input) => values[input.name ?? '']),
    ),
  };
}

describe('decoding the vault’s events', () => {
  it('knows exactly the events of the generated ABI', () => {
    assert.deepEqual([...VAULT_EVENT_TOPICS].sort(), events.map((event) => toEventSelector(event)).sort());
  });

  const cases: readonly [name: string, values: Record<string, unknown>, fact: Record<string, unknown>][] = [
    [
      'Deposited',
      { account, asset: 3, quanta: 77n, payer: key },
      { kind: 'depositCredited', account, asset: 3, amount: 77 },
    ],
    ['ExitRequested', { account, asset: 1, availableAt: 9n }, { kind: 'exitRequested', account, asset: 1 }],
    ['ExitCancelled', { account, asset: 1 }, { kind: 'exitCancelled', account, asset: 1 }],
    [
      'ExitExecuted',
      { account, asset: 1, quanta: 5n, recipient: key },
      { kind: 'exitExecuted', account, asset: 1, amount: 5 },
    ],
    [
      'OrdersCancelled',
      { account, beforeSequence: 60_000n, bindingAt: 9n },
      { kind: 'ordersCancelledOnChain', account, beforeSequence: 60_000 },
    ],
    ['OrderRegistered', { account, digest: hash }, { kind: 'orderRegistered', account, digest: hash }],
    [
      'SessionKeyRegistered',
      { account, key, expiry: 99n, marketMask: 1n << 255n, nonce: 4n },
      { kind: 'sessionKeyRegistered', account, key, validUntil: 99, marketMask: 1n << 255n },
    ],
    [
      'SessionKeyRevoked',
      { account, key, settleableUntil: 98n },
      { kind: 'sessionKeyRevoked', account, key, validUntil: 98 },
    ],
    ['MarketDelisted', { market: 2 }, { kind: 'marketDelisted', market: 2 }],
    ['FeesCollected', { asset: 1, quanta: 12n }, { kind: 'feesCollected', asset: 1, amount: 12 }],
    ['Paused', { until: 12n }, { kind: 'chainEventNoted', name: 'Paused' }],
    ['Unpaused', {}, { kind: 'chainEventNoted', name: 'Unpaused' }],
    [
      'EngineKeyRevoked',
      { key: account, successor: key, epoch: 3n },
      { kind: 'chainEventNoted', name: 'EngineKeyRevoked' },
    ],
  ];
  for (const [name, values, fact] of cases) {
    it(`reads ${name}`, () => {
      const decoded = createVaultDecoder().decode(logOf(name, { ...values, eventSequence: 41n }));
      assert.deepEqual(decoded, { name, eventSequence: 41, fact });
    });
  }

  it('names a market after its assets, also after a restart', () => {
    const listed = {
      market: 0,
      baseAsset: 0,
      quoteAsset: 1,
      lotQuanta: 10n,
      tickQuanta: 2n,
      maxSizeLots: 1_000,
      maxPriceTicks: 2_000,
      eventSequence: 7n,
    };
    const decoder = createVaultDecoder([[0, 'WETH']]);
    assert.throws(() => decoder.decode(logOf('MarketListed', listed)), /not both seen before/);
    const usdc = {
      asset: 1,
      token: account,
      quantum: 1n,
      minimumDeposit: 5n,
      decimals: 6,
      symbol: 'USDC',
      eventSequence: 6n,
    };
    assert.deepEqual(decoder.decode(logOf('AssetListed', usdc)).fact, {
      kind: 'assetListed',
      asset: { index: 1, token: account, symbol: 'USDC', decimals: 6, quantumUnits: 1n, minDeposit: 5 },
    });
    assert.deepEqual(decoder.decode(logOf('MarketListed', listed)).fact, {
      kind: 'marketListed',
      market: {
        index: 0,
        symbol: 'WETH-USDC',
        baseAsset: 0,
        quoteAsset: 1,
        lotQuanta: 10,
        tickQuanta: 2,
        maxSizeLots: 1_000,
        maxPriceTicks: 2_000,
      },
    });
  });

  it('reads the packed outcomes of a batch', () => {
    const withdrawal = (index: string, reason: string) => `${index}${reason}${'00000000000064'}${'00000000000001'}`;
    const values = {
      id: 9n,
      eventSequence: 50n,
      epoch: 2n,
      contentHash: hash,
      batchHash: hash,
      skips: '0x0001010200070007',
      withdrawals: `0x${withdrawal('0000', '00')}${withdrawal('0001', '09')}`,
    };
    assert.deepEqual(createVaultDecoder().decode(logOf('BatchSettled', values)).fact, {
      kind: 'batchSettled',
      batchId: 9,
      contentHash: hash,
      skips: [
        { trade: 1, reason: 2 },
        { trade: 7, reason: 7 },
      ],
      withdrawals: [
        { index: 0, state: 'executed', reason: 'executed' },
        { index: 1, state: 'failed', reason: 'insufficient_balance' },
      ],
    });
    assert.deepEqual(decodeSkips(new Uint8Array([0, 1, 1, 2])), [{ trade: 1, fault: 'maker', reason: 2 }]);
    assert.throws(() => decodeSkips(new Uint8Array(5)), RangeError);
  });

  it('refuses foreign and cut logs', () => {
    const log = logOf('Deposited', { account, asset: 3, quanta: 77n, payer: key, eventSequence: 1n });
    assert.throws(() => createVaultDecoder().decode({ ...log, topics: [hash] }), RangeError);
    assert.throws(() => createVaultDecoder().decode({ ...log, topics: log.topics.slice(0, 2) }), RangeError);
    assert.throws(() => createVaultDecoder().decode({ ...log, data: log.data.slice(0, 66) as Hex }), RangeError);
  });
});
