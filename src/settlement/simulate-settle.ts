/** What would become of a settlement at the head: how much gas it needs, why the vault refuses it, or that no transaction can hold it. */
import { type RpcEndpoint, rpcFailureReason } from '../chain/rpc-pool.ts';
import { ExchangeError } from '../domain/errors.ts';
import type { Address, Hex } from '../domain/units.ts';
import { hexNumber } from './chain-view.ts';
import { decodeSettleError } from './settle-call.ts';

export type Simulated =
  | { readonly kind: 'gas'; readonly gas: bigint }
  /** It needs more than `gasMax`. */
  | { readonly kind: 'too_large' }
  /** The vault's error as `decodeSettleError` gives it, or the node's words. */
  | { readonly kind: 'refused'; readonly error: string };

type Call = { readonly from: Address; readonly to: Address; readonly data: Hex };

/** Nodes' words for a call that did not come to its end with all the gas it was allowed. */
const OUT_OF_GAS =
  /out of gas|gas required exceeds|gas spent exceeded|exceeds (the )?(block|transaction)[a-z ]* gas limit/i;

/**
 * @param gasMax the most that a transaction may ask for
 * @throws ExchangeError RPC_FAILED when the node does not say
 */
export async function simulateSettle(
  endpoint: RpcEndpoint,
  call: Call,
  blockNumber: number,
  gasMax: bigint,
): Promise<Simulated> {
  const at = hexNumber(blockNumber);
  try {
    const gas = BigInt((await endpoint.request('eth_estimateGas', [{ ...call, gas: hexNumber(gasMax) }, at])) as Hex);
    return gas > gasMax ? { kind: 'too_large' } : { kind: 'gas', gas };
  } catch (error) {
    const reason = rpcFailureReason(error);
    if (!(error instanceof ExchangeError) || (reason !== 'reverted' && reason !== 'refused')) throw error;
    const refusal = decodeSettleError(error.details['data']);
    // The vault would rather revert than start on a transfer that it has not the gas for.
    const isOutOfGas = refusal?.startsWith('NotEnoughGas(') ?? OUT_OF_GAS.test(error.message);
    if (!isOutOfGas) {
      if (reason === 'refused') throw error;
      return { kind: 'refused', error: refusal ?? error.message };
    }
    const allowed = await readGasOfCalls(endpoint, call.from, at, gasMax);
    if (allowed === gasMax) return { kind: 'too_large' };
    return { kind: 'refused', error: `NotEnoughGas(${gasMax}, ${allowed})` };
  }
}

/** `GAS PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN`: as a deployment's code it gives the gas that was left at its start. */
const GAS_LEFT_CODE: Hex = '0x5a60005260206000f3';
/** What a deployment with so little code costs before it starts, rounded up. */
const DEPLOYMENT_GAS_MAX = 60_000n;

/**
 * How much of `gasMax` the node lets a call have: operators cap it, and a batch that does not fit under their cap may well fit a block.
 * @returns `gasMax` itself when nothing is withheld
 */
async function readGasOfCalls(endpoint: RpcEndpoint, from: Address, at: Hex, gasMax: bigint): Promise<bigint> {
  const left = BigInt(
    (await endpoint.request('eth_call', [{ from, data: GAS_LEFT_CODE, gas: hexNumber(gasMax) }, at])) as Hex,
  );
  return left + DEPLOYMENT_GAS_MAX >= gasMax ? gasMax : left;
}
