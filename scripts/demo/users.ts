/** The demo's wallets: keys from the seed, ether and test tokens from the local chain, deposits by their own transactions. */
import { createPublicClient, encodeFunctionData, type Hex, http, keccak256, parseAbi, toHex } from 'viem';
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { connect, type TallystickClient } from '../../src/sdk/client.ts';
import { createTransactionSender } from '../../src/sdk/transactions.ts';

export type User = { readonly wallet: PrivateKeyAccount; readonly client: TallystickClient };

export const MARKET = 'WETH-USDC';
const FUNDING = { WETH: '40', USDC: '100000' } as const;
const MINT_ABI = parseAbi(['function mint(address to, uint256 amount)']);
const ONE_HUNDRED_ETHER = 100n * 10n ** 18n;

export function createWallets(seed: number, accounts: number): PrivateKeyAccount[] {
  return Array.from({ length: accounts }, (_, index) => privateKeyToAccount(keccak256(toHex(`demo ${seed} ${index}`))));
}

/** Connects a wallet, gives it ether and tokens, and deposits them; resolves when they can be traded. */
export async function enter(wallet: PrivateKeyAccount, url: string, rpcUrl: string): Promise<User> {
  const node = createPublicClient({ transport: http(rpcUrl) });
  const setBalance = [wallet.address, toHex(ONE_HUNDRED_ETHER)] as [Hex, Hex];
  await node.request({ method: 'anvil_setBalance', params: setBalance } as never);
  const client = await connect({ url, wallet, rpcUrl });
  const sender = createTransactionSender({ wallet, rpcUrl, chainId: client.chainId });
  for (const [symbol, amount] of Object.entries(FUNDING)) {
    const asset = await client.rules.asset(symbol);
    const units = BigInt(amount) * 10n ** BigInt(asset.decimals);
    const data = encodeFunctionData({ abi: MINT_ABI, functionName: 'mint', args: [wallet.address, units] });
    await sender.send({ to: asset.token, data });
    await client.deposit({ asset: symbol, amount });
  }
  for (const [asset, available] of Object.entries(FUNDING)) await client.waitForBalance({ asset, available });
  return { wallet, client };
}
