/** One face for the wallets the SDK takes: a viem account, a viem wallet client, or an ethers signer. */
import type { Address, Hex } from '../domain/units.ts';
import { TallystickError } from './errors.ts';

type TypedDataField = { readonly name: string; readonly type: string };
export type TypedData = {
  readonly domain: { name: string; version: string; chainId: number; verifyingContract: Address };
  readonly types: Readonly<Record<string, readonly TypedDataField[]>>;
  readonly primaryType: string;
  readonly message: Readonly<Record<string, unknown>>;
};

/** Signs typed data in the owner's name; never sees more than what is signed. */
export type Signer = {
  readonly address: Address;
  signTypedData(typedData: TypedData): Promise<Hex>;
};

type ViemAccount = { readonly address: string; readonly signTypedData: (parameters: never) => Promise<string> };
type ViemWalletClient = {
  readonly account: { readonly address: string } | undefined;
  readonly signTypedData: (parameters: never) => Promise<string>;
};
type EthersSigner = {
  getAddress(): Promise<string>;
  signTypedData(domain: never, types: never, value: never): Promise<string>;
};
export type AnySigner = ViemAccount | ViemWalletClient | EthersSigner;

/** @throws TallystickError INVALID_ARGUMENT when the object is none of the three. */
export async function toSigner(wallet: AnySigner): Promise<Signer> {
  if ('getAddress' in wallet) {
    const address = (await wallet.getAddress()).toLowerCase() as Address;
    return {
      address,
      signTypedData: async ({ domain, types, message }) =>
        (await wallet.signTypedData(domain as never, types as never, message as never)) as Hex,
    };
  }
  if ('account' in wallet && wallet.account !== undefined) {
    const { account } = wallet;
    return {
      address: account.address.toLowerCase() as Address,
      signTypedData: async (typedData) => (await wallet.signTypedData({ ...typedData, account } as never)) as Hex,
    };
  }
  if ('address' in wallet) {
    return {
      address: wallet.address.toLowerCase() as Address,
      signTypedData: async (typedData) => (await wallet.signTypedData(typedData as never)) as Hex,
    };
  }
  throw new TallystickError(
    'INVALID_ARGUMENT',
    'wallet must be a viem account, a viem wallet client with an account, or an ethers signer',
  );
}
