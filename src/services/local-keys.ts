/** Keys of the local chain, derived from the public test mnemonic: who is who among its accounts. */
import { bytesToHex } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import type { Hex } from '../domain/units.ts';
import { LOCAL_MNEMONIC } from './local-node.ts';

export const LOCAL_ACCOUNTS = {
  deployer: 0,
  engine: 1,
  submitter: 2,
  /** For the person at the keyboard. */
  yours: [3, 4, 5],
  makers: [6, 7],
  takers: [8, 9],
} as const;

/** Private key of one of the mnemonic's accounts. Known to everyone: local chain only. */
export function localKey(index: number): Hex {
  const { privateKey } = mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex: index }).getHdKey();
  if (privateKey === null || privateKey === undefined) throw new Error(`the mnemonic gives no key ${index}`);
  return bytesToHex(privateKey);
}
