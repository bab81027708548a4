/**
 * The base fees of recent blocks, read again and again, for the decision when to seal. What a node does not answer in time is not
 * known any more, and batches are sealed by age and count alone.
 */
import { type RpcPool, rpcFailure } from '../chain/rpc-pool.ts';
import type { Hex } from '../domain/units.ts';
import type { GasPrices } from './seal-policy.ts';

export type BaseFeeWatch = {
  /** Undefined while nothing recent is known. */
  readonly current: () => GasPrices | undefined;
  readonly stop: () => Promise<void>;
};

export type BaseFeeWatchOptions = {
  readonly rpc: RpcPool;
  /** Milliseconds between two readings; one of Ethereum's slots by default. */
  readonly everyMs?: number;
  /** Fees read so long ago count no more, in milliseconds. */
  readonly staleAfterMs?: number;
  /** Told once per stretch of failures. */
  readonly onWarning: (message: string, error: unknown) => void;
};

const EVERY_MS = 12_000;
/** Ten blocks. */
const STALE_AFTER_MS = 120_000;
/** About 51 minutes on Ethereum: several times the longest that a batch may wait. */
const BLOCKS = 256;

export function startBaseFeeWatch(options: BaseFeeWatchOptions): BaseFeeWatch {
  const { rpc, everyMs = EVERY_MS, staleAfterMs = STALE_AFTER_MS, onWarning } = options;
  let known: { readonly prices: GasPrices; readonly atMs: number } | undefined;
  let isFailing = false;
  let reading: Promise<void> | undefined;

  const read = async (): Promise<void> => {
    try {
      known = { prices: await readBaseFees(rpc), atMs: performance.now() };
      isFailing = false;
    } catch (error) {
      if (!isFailing) onWarning('the base fees could not be read; batches are sealed by age and count alone', error);
      isFailing = true;
    }
  };
  const readUnlessReading = (): void => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
  };
  readUnlessReading();
  // Whoever asks keeps the process running, not the watch.
  const timer = setInterval(readUnlessReading, everyMs).unref();
  return {
    current: () => (known !== undefined && performance.now() - known.atMs <= staleAfterMs ? known.prices : undefined),
    stop: async () => {
      clearInterval(timer);
      await reading;
    },
  };
}

/** @throws ExchangeError RPC_FAILED */
function readBaseFees(rpc: RpcPool): Promise<GasPrices> {
  return rpc.run(async (endpoint) => {
    const history = (await endpoint.request('eth_feeHistory', [`0x${BLOCKS.toString(16)}`, 'latest', []])) as {
      baseFeePerGas?: readonly Hex[];
    } | null;
    const fees = history?.baseFeePerGas;
    if (!Array.isArray(fees) || fees.length < 2 || !fees.every((fee) => /^0x[0-9a-f]+$/i.test(String(fee)))) {
      throw rpcFailure('malformed', `${endpoint.name} answered eth_feeHistory without base fees`);
    }
    const baseFees = fees.map((fee) => BigInt(fee));
    // The last one is the next block's.
    return { now: baseFees.at(-1) as bigint, recent: baseFees.slice(0, -1) };
  });
}
