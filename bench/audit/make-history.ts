/** A vault on a local node with many settled fills, each between two orders of their own: the most signatures that a fill can need. */

import secp256k1 from 'secp256k1';
import { encodeFunctionData, parseAbi } from 'viem';
import type { ContentOrder } from '../../src/chain/batch-codec.ts';
import { joinCompact } from '../../src/chain/compact-signature.ts';
import { hexToBytes } from '../../src/chain/hex.ts';
import { lots, type Ppm } from '../../src/domain/units.ts';
import {
  createUser,
  LAB_ASSETS,
  type LabOrder,
  type LabUser,
  type SettlementLab,
  tableOf,
} from '../../test/support/settlement-lab.ts';

const CALLS = parseAbi([
  'function mint(address to, uint256 amount)',
  'function approve(address spender, uint256 amount) returns (bool)',
  'function deposit(address token, uint256 amount, address beneficiary)',
]);
const DEPOSIT_QUANTA = 1_000_000_000_000n;

/** Pairs of accounts; in each batch the first of each pair trades once with the second. */
export async function createPairs(
  lab: SettlementLab,
  count: number,
): Promise<readonly (readonly [LabUser, LabUser])[]> {
  const pairs = Array.from(
    { length: count },
    (_, index) => [createUser(`audit ${index} a`), createUser(`audit ${index} b`)] as const,
  );
  for (const asset of [0, 1]) {
    const token = lab.tokens[asset] ?? lab.vault;
    const units = DEPOSIT_QUANTA * (LAB_ASSETS[asset]?.quantumUnits ?? 1n);
    const total = units * BigInt(2 * count);
    const { deployer, vault } = lab;
    await lab.sendRaw(
      deployer,
      token,
      encodeFunctionData({ abi: CALLS, functionName: 'mint', args: [deployer, total] }),
    );
    await lab.sendRaw(
      deployer,
      token,
      encodeFunctionData({ abi: CALLS, functionName: 'approve', args: [vault, total] }),
    );
    for (const { address } of pairs.flat()) {
      const args = [token, units, address] as const;
      await lab.sendRaw(deployer, vault, encodeFunctionData({ abi: CALLS, functionName: 'deposit', args }));
    }
  }
  return pairs;
}

/** Settles a batch of one fill per pair; the sides change from batch to batch. @param now Unix seconds of the chain */
export async function settleFills(
  lab: SettlementLab,
  pairs: readonly (readonly [LabUser, LabUser])[],
  now: number,
): Promise<void> {
  const sellerOf = lab.batchId % 2;
  const orderSequence = (now - lab.deployedAt) * 1_000 + lab.batchId;
  const trades = pairs.map(([first, second]) => {
    const [buyer, seller] = sellerOf === 0 ? [second, first] : [first, second];
    return { taker: sign(lab, buyer, 'buy', orderSequence), maker: sign(lab, seller, 'sell', orderSequence) };
  });
  const { accounts, markets, indexOf } = tableOf(trades.flatMap(({ taker, maker }) => [taker, maker]));
  const fills = trades.map(({ taker, maker }) => ({
    takerOrder: indexOf(taker),
    makerOrder: indexOf(maker),
    sizeLots: lots(1),
    takerFeePpm: 1_000 as Ppm,
    makerFeePpm: 500 as Ppm,
  }));
  await lab.settle({ accounts, markets, fills, withdrawals: [] });
}

type SignedOrder = LabOrder & { readonly authorisation: ContentOrder['authorisation'] };

/** With libsecp256k1, which takes a fiftieth of the time of the library that tests sign with. */
function sign(lab: SettlementLab, user: LabUser, side: 'buy' | 'sell', orderSequence: number): SignedOrder {
  const order: LabOrder = {
    account: user.address,
    market: 0,
    side,
    sizeLots: 1,
    priceTicks: 1_000,
    timeInForce: 'gtc',
    postOnly: false,
    lane: 0,
    orderSequence,
    expiry: lab.deployedAt + 86_400,
    maxFeePpm: 1_000,
  };
  const made = secp256k1.ecdsaSign(hexToBytes(lab.orderDigest(order)), hexToBytes(user.key));
  const signature = joinCompact({ rs: made.signature, yParity: made.recid === 0 ? 0 : 1 });
  return { ...order, authorisation: { kind: 'owner', signature } };
}
