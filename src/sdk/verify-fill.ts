/**
 * Checks a fill against the chain alone: the API's word is only where to look.
 *
 * From the transaction's own input the batch is decoded, the trade found, the user's order rebuilt and hashed; from its receipt the
 * vault's event tells what was skipped. What is proven: this very order was filled by this size at this price, and not skipped, for this fee.
 */
import {
  decodeEventLog,
  decodeFunctionData,
  hashTypedData,
  hexToBytes,
  keccak256,
  type PublicClient,
  parseAbi,
} from 'viem';
import { type ContentOrder, decodeBatchContent } from '../chain/batch-codec.ts';
import { decodeSkips } from '../chain/vault-events.ts';
import { baseUnits, formatAmount, formatPrice, formatSize, quoteUnits } from '../domain/markets.ts';
import { packNonce } from '../domain/orders.ts';
import { type Eip712Domain, ORDER_TYPES } from '../domain/typed-data.ts';
import { type Address, feeOf, type Hex, lots, notional, priceTicks } from '../domain/units.ts';
import { TallystickError } from './errors.ts';
import type { MarketRules } from './sign-order.ts';
import type { Fill } from './types.ts';

const settlementAbi = parseAbi([
  'struct Batch { uint64 id; bytes32 parent; uint64 epoch; uint64 journalSequence; bytes32 journalHash; }',
  'function settle(Batch batch, bytes content, bytes32 engineSignatureR, bytes32 engineSignatureVs)',
  'event BatchSettled(uint64 indexed id, uint64 eventSequence, uint64 epoch, bytes32 contentHash, bytes32 batchHash, bytes skips, bytes withdrawals)',
]);

export type VerifiedFill = {
  readonly batchId: number;
  readonly transactionHash: Hex;
  readonly blockNumber: bigint;
  /** Blocks on top of it when it was checked. */
  readonly confirmations: bigint;
  readonly orderDigest: Hex;
  readonly price: string;
  readonly size: string;
};

/** @throws TallystickError VERIFICATION_FAILED saying what was expected and what the chain holds. */
export async function verifyFill(options: {
  fill: Fill;
  rules: MarketRules;
  domain: Eip712Domain;
  account: Address;
  publicClient: PublicClient;
}): Promise<VerifiedFill> {
  const { fill, rules, domain, account, publicClient } = options;
  const { transactionHash, batchIndex } = fill;
  if (transactionHash === null || batchIndex === null) {
    throw failed(`trade ${fill.tradeId} is ${fill.state}: it is not on chain yet`, fill);
  }
  const [transaction, receipt, head] = await Promise.all([
    publicClient.getTransaction({ hash: transactionHash as Hex }),
    publicClient.getTransactionReceipt({ hash: transactionHash as Hex }),
    publicClient.getBlockNumber(),
  ]);
  const vault = domain.verifyingContract;
  if (receipt.status !== 'success' || receipt.to?.toLowerCase() !== vault) {
    throw failed(`transaction ${transactionHash} is no successful call of the vault ${vault}`, fill);
  }
  const [batch, content] = settleCallOf(transaction.input, fill);
  requireNotSkipped(fill, receipt.logs, vault, keccak256(content), batchIndex);

  const decoded = decodeBatchContent(hexToBytes(content));
  const orders = decoded.accounts.flatMap((entry) => entry.orders.map((order) => ({ account: entry.account, order })));
  const trade = decoded.fills[batchIndex];
  const taker = orders[trade?.takerOrder ?? -1];
  const maker = orders[trade?.makerOrder ?? -1];
  const own = [taker, maker].find((side) => side?.account === account);
  if (trade === undefined || taker === undefined || maker === undefined || own === undefined) {
    throw failed(`fill ${batchIndex} of batch ${batch.id} is not one of ${account}`, fill);
  }
  const digest = orderDigest(own.order, account, rules, domain);
  const size = formatSize(trade.sizeLots, rules.market, rules.base);
  const makerPrice = priceTicks(maker.order.priceTicks);
  const price = formatPrice(makerPrice, rules.market, rules.base, rules.quote);
  const quoteAmount = notional(makerPrice, lots(trade.sizeLots), rules.market);
  const fee = feeOf(quoteAmount, own === taker ? trade.takerFeePpm : trade.makerFeePpm);
  requireEqual('order', fill.orderId, digest, fill);
  requireEqual('size', fill.size, size, fill);
  requireEqual('price', fill.price, price, fill);
  requireEqual('side', fill.side, own.order.side, fill);
  requireEqual('liquidity', fill.liquidity, own === taker ? 'taker' : 'maker', fill);
  requireEqual('notional', fill.notional, formatAmount(quoteAmount, rules.quote), fill);
  requireEqual('fee', fill.fee, formatAmount(fee, rules.quote), fill);
  return {
    batchId: Number(batch.id),
    transactionHash: transactionHash as Hex,
    blockNumber: receipt.blockNumber,
    confirmations: head - receipt.blockNumber,
    orderDigest: digest,
    price,
    size,
  };
}

function settleCallOf(input: Hex, fill: Fill) {
  try {
    return decodeFunctionData({ abi: settlementAbi, data: input }).args;
  } catch (cause) {
    throw failed('the transaction is no call of settle, so that its fills cannot be read', fill, cause);
  }
}

function requireNotSkipped(
  fill: Fill,
  logs: readonly { address: string; topics: [] | [Hex, ...Hex[]]; data: Hex }[],
  vault: Address,
  contentHash: Hex,
  batchIndex: number,
): void {
  for (const log of logs) {
    if (log.address.toLowerCase() !== vault) continue;
    try {
      const { args } = decodeEventLog({
        abi: settlementAbi,
        eventName: 'BatchSettled',
        topics: log.topics,
        data: log.data,
      });
      requireEqual('content hash', contentHash, args.contentHash, fill);
      const skip = decodeSkips(hexToBytes(args.skips)).find((entry) => entry.trade === batchIndex);
      if (skip === undefined) return;
      throw failed(`the vault skipped fill ${batchIndex} of batch ${args.id} with reason ${skip.reason}`, fill);
    } catch (error) {
      if (error instanceof TallystickError) throw error;
      // Another event of the vault in the same transaction.
    }
  }
  throw failed('the transaction settled no batch', fill);
}

function orderDigest(order: ContentOrder, account: Address, rules: MarketRules, domain: Eip712Domain): Hex {
  const { market, base, quote } = rules;
  return hashTypedData({
    domain,
    types: ORDER_TYPES,
    primaryType: 'Order',
    message: {
      account,
      side: order.side,
      baseToken: base.token,
      baseAmount: baseUnits(lots(order.sizeLots), market, base),
      quoteToken: quote.token,
      quoteAmount: quoteUnits(priceTicks(order.priceTicks), lots(order.sizeLots), market, quote),
      timeInForce: order.timeInForce,
      postOnly: order.postOnly,
      nonce: packNonce(order.lane, order.orderSequence),
      expiry: BigInt(order.expiry),
      maxFeePpm: order.maxFeePpm,
    },
  });
}

function requireEqual(what: string, claimed: string, found: string, fill: Fill): void {
  if (claimed !== found) throw failed(`${what} is ${found} on chain, the API says ${claimed}`, fill);
}

function failed(message: string, fill: Fill, cause?: unknown): TallystickError {
  return new TallystickError('VERIFICATION_FAILED', message, { details: { fill }, cause });
}
