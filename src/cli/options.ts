/** Options that several commands share, and how their values are read. Secrets are never options: argv is visible to every user. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import type { Address, Hex } from '../domain/units.ts';
import { connect, type TallystickClient } from '../sdk/client.ts';
import { createHttpClient, type HttpClient } from '../sdk/http.ts';
import { UsageError } from './exit-codes.ts';

export type ApiOptions = { readonly url: string };
export type KeyOptions = { readonly keyFile?: string };
export type RpcOptions = { readonly rpc?: string };

export function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

export function addressValue(text: string): Address {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) {
    throw new InvalidArgumentError('It must be an address: 0x and 40 hex digits.');
  }
  return text.toLowerCase() as Address;
}

export function hashValue(text: string): Hex {
  if (!/^0x[0-9a-fA-F]{64}$/.test(text)) throw new InvalidArgumentError('It must be an id: 0x and 64 hex digits.');
  return text.toLowerCase() as Hex;
}

/** A plain decimal; whether it is on tick or lot is for the exchange's rules. */
export function decimalValue(text: string): string {
  if (!/^(0|[1-9][0-9]*)(\.[0-9]+)?$/.test(text) || text.length > 60) {
    throw new InvalidArgumentError('It must be a plain decimal such as 0.015, without sign or exponent.');
  }
  return text;
}

export function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new InvalidArgumentError('It must be a URL that begins with http:// or https://.');
  }
  return text.replace(/\/$/, '');
}

export function marketName(text: string): string {
  if (!/^[A-Za-z0-9._]{1,20}-[A-Za-z0-9._]{1,20}$/.test(text)) {
    throw new InvalidArgumentError('It must be a market such as WETH-USDC; "tallystick markets" lists them.');
  }
  return text;
}

export function withApi(command: Command): Command {
  return command.addOption(
    new Option('--url <url>', 'where the API is')
      .env('TALLYSTICK_URL')
      .default('http://127.0.0.1:3000')
      .argParser(httpUrl),
  );
}

export function withKey(command: Command): Command {
  return command.addOption(
    new Option(
      '--key-file <path>',
      'file that holds the private key (0x and 64 hex digits); without it the key is taken from TALLYSTICK_PRIVATE_KEY',
    ).env('TALLYSTICK_KEY_FILE'),
  );
}

export function withRpc(command: Command): Command {
  return command.addOption(
    new Option('--rpc <url>', "a node of the vault's chain; the one that the API names when absent")
      .env('TALLYSTICK_RPC_URL')
      .argParser(httpUrl),
  );
}

/** @throws UsageError saying where a key may come from; never shows any of it */
export function readWallet(options: KeyOptions): PrivateKeyAccount {
  const { keyFile } = options;
  const [text, origin] =
    keyFile === undefined
      ? [process.env['TALLYSTICK_PRIVATE_KEY'], 'TALLYSTICK_PRIVATE_KEY']
      : [readKeyFile(keyFile), keyFile];
  if (text === undefined || text.trim() === '') {
    throw new UsageError(
      'this needs a wallet: set TALLYSTICK_PRIVATE_KEY, or name a file that holds the key with --key-file',
    );
  }
  const key = text.trim();
  if (!/^0x[0-9a-fA-F]{64}$/.test(key)) {
    throw new UsageError(`${origin} does not hold a private key: it must be 0x and 64 hex digits`);
  }
  try {
    return privateKeyToAccount(key as Hex);
  } catch {
    throw new UsageError(`${origin} does not hold a private key of secp256k1`);
  }
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`the key file ${path} cannot be read (${(error as { code?: string }).code ?? 'unknown'})`);
  }
}

export const openApi = ({ url }: ApiOptions): HttpClient => createHttpClient(url);

/** @throws TallystickError NETWORK when the API does not answer */
export async function openClient(options: ApiOptions & KeyOptions & RpcOptions): Promise<TallystickClient> {
  const wallet = readWallet(options);
  const rpcUrl = options.rpc ?? (await offeredNode(options));
  return connect({ url: options.url, wallet, ...(rpcUrl === undefined ? {} : { rpcUrl }) });
}

/** The node that the API offers to everyone, if any. */
async function offeredNode(options: ApiOptions): Promise<string | undefined> {
  const { rpcUrl } = await openApi(options).request<{ rpcUrl: string | null }>('/api/v1/contracts');
  return rpcUrl ?? undefined;
}
