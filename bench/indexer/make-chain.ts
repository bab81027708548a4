/**
 * A vault on a local node with very many of its own events, quickly: a contract that deposits for another account in every turn of a loop.
 * Nothing is invented but the depositor: each event is the vault's, with its gapless number.
 */
import { encodeFunctionData, parseAbi } from 'viem';
import { bytesToHex } from '../../src/chain/hex.ts';
import { keccakText } from '../../src/chain/keccak.ts';
import type { RpcEndpoint } from '../../src/chain/rpc-pool.ts';
import type { Address, Hash, Hex } from '../../src/domain/units.ts';
import type { SettlementLab } from '../../test/support/settlement-lab.ts';

const TOKEN = parseAbi([
  'function mint(address to, uint256 amount)',
  'function approve(address spender, uint256 amount) returns (bool)',
]);

const FIRST_ACCOUNT = 0xacc0n << 144n;
/** An address without a key; its code is put there by the node's own means. */
const DEPOSITOR: Address = '0xde90517000000000000000000000000000000001';
/** USDC of the lab: a quantum is one unit of the token. */
const ASSET = 1;
/** The node copies the state at every block: the accounts are few enough for that not to count. */
const ACCOUNT_GROUPS = 20;
/** A deposit into an account's empty slot takes some 60,000 gas. */
const GAS_PER_DEPOSIT = 80_000;

/**
 * Called with five words (count, first beneficiary, token, amount, vault) it calls `deposit(token, amount, first + i)` for i = count … 1, and
 * reverts when one fails. In the order of the parts below: the call's bytes but the beneficiary are laid out in memory; the loop with i on
 * the stack, which jumps behind it when i is 0; the end for a deposit that failed, and the good end.
 */
function depositorCode(): Hex {
  const selector = bytesToHex(keccakText('deposit(address,uint256,address)')).slice(2, 10);
  const layOut = ['63', selector, '60e01b5f52', '604035600452', '606035602452', '5f35'].join('');
  const loopAt = layOut.length / 2;
  const loop = (failedAt: number, endAt: number): string =>
    ['5b', `801560${byte(endAt)}57`, '8060203501604452', '5f5f60645f5f6080355af1', `1560${byte(failedAt)}57`]
      .concat(`60019003`, `60${byte(loopAt)}56`)
      .join('');
  const failed = '5b5f5ffd';
  const failedAt = loopAt + loop(0, 0).length / 2;
  return `0x${layOut}${loop(failedAt, failedAt + failed.length / 2)}${failed}5b00`;
}

const byte = (value: number): string => value.toString(16).padStart(2, '0');
const word = (value: bigint): string => value.toString(16).padStart(64, '0');

type TransactionRequest = { readonly from: Address; readonly to: Address; readonly data: Hex; readonly gas: Hex };

export type Depositor = {
  /** A transaction of `count` deposits. */
  readonly request: (count: number) => TransactionRequest;
  /** Sends one; the node mines it as it is set to. @returns its hash */
  readonly deposit: (count: number) => Promise<Hash>;
};

/** Puts the depositor on the chain, with enough tokens for `depositsMax` deposits of one quantum. */
export async function createDepositor(lab: SettlementLab, depositsMax: number): Promise<Depositor> {
  const { rpc, vault } = lab;
  const token = lab.tokens[ASSET] as Address;
  await rpc.request('anvil_setBalance', [DEPOSITOR, '0xde0b6b3a7640000']);
  const mint = encodeFunctionData({ abi: TOKEN, functionName: 'mint', args: [DEPOSITOR, BigInt(depositsMax)] });
  await lab.sendRaw(lab.deployer, token, mint);
  const approve = encodeFunctionData({ abi: TOKEN, functionName: 'approve', args: [vault, BigInt(depositsMax)] });
  await lab.sendRaw(DEPOSITOR, token, approve);
  await rpc.request('anvil_setCode', [DEPOSITOR, depositorCode()]);
  let turn = 0;
  const request = (count: number): TransactionRequest => {
    const first = FIRST_ACCOUNT + BigInt((turn++ % ACCOUNT_GROUPS) * count);
    const data: Hex = `0x${word(BigInt(count))}${word(first)}${word(BigInt(token))}${word(1n)}${word(BigInt(vault))}`;
    return { from: lab.deployer, to: DEPOSITOR, data, gas: `0x${(100_000 + count * GAS_PER_DEPOSIT).toString(16)}` };
  };
  return {
    request,
    deposit: async (count) => (await rpc.request('eth_sendTransaction', [request(count)])) as Hash,
  };
}

/** Waits until the transaction is in a block. @throws Error when it failed there */
export async function mined(rpc: RpcEndpoint, hash: Hash): Promise<void> {
  for (;;) {
    const receipt = (await rpc.request('eth_getTransactionReceipt', [hash])) as { status: Hex } | null;
    if (receipt?.status === '0x1') return;
    if (receipt !== null) throw new Error(`transaction ${hash} failed`);
    await new Promise((wake) => setTimeout(wake, 2));
  }
}
