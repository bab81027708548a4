/** Which keys sign what: from the environment, from remote signers, or on the local chain from the public test mnemonic. */
import { mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { ExchangeError } from '../domain/errors.ts';
import type { Address, Hex } from '../domain/units.ts';
import { createRemoteEngineSigner, createRemoteTransactionSigner } from '../settlement/remote-signers.ts';
import {
  createLocalEngineSigner,
  createLocalTransactionSigner,
  type EngineSigner,
  type TransactionSigner,
} from '../settlement/signers.ts';
import { addressSetting, keySetting, type Settings } from './config.ts';
import { LOCAL_ACCOUNTS, localKey } from './local-keys.ts';
import { LOCAL_CHAIN_ID, LOCAL_MNEMONIC } from './local-node.ts';

/** Accounts of the test mnemonic that are refused elsewhere. */
const KNOWN_ACCOUNTS = 20;

/** Signs batches, and journal rows for receipts. @throws ExchangeError CONFIGURATION */
export function chooseEngineSigner(settings: Settings, chainId: number): EngineSigner {
  const url = settings.ENGINE_SIGNER_URL;
  if (url !== undefined)
    return createRemoteEngineSigner({ url, address: requireAddress('ENGINE_ADDRESS', settings.ENGINE_ADDRESS) });
  const given = keySetting(settings.ENGINE_PRIVATE_KEY);
  return createLocalEngineSigner(chooseKey('ENGINE_PRIVATE_KEY', given, LOCAL_ACCOUNTS.engine, chainId));
}

/** @throws ExchangeError CONFIGURATION */
export function chooseTransactionSigner(settings: Settings, chainId: number): TransactionSigner {
  const url = settings.SUBMITTER_SIGNER_URL;
  if (url !== undefined) {
    return createRemoteTransactionSigner({
      url,
      address: requireAddress('SUBMITTER_ADDRESS', settings.SUBMITTER_ADDRESS),
    });
  }
  const given = keySetting(settings.SUBMITTER_PRIVATE_KEY);
  return createLocalTransactionSigner(chooseKey('SUBMITTER_PRIVATE_KEY', given, LOCAL_ACCOUNTS.submitter, chainId));
}

function requireAddress(name: string, value: string | undefined): Address {
  const address = addressSetting(value);
  if (address === undefined)
    throw new ExchangeError('CONFIGURATION', `${name} is missing: a remote signer needs to know the account.`);
  return address;
}

function chooseKey(name: string, given: Hex | undefined, localIndex: number, chainId: number): Hex {
  if (chainId === LOCAL_CHAIN_ID) return given ?? localKey(localIndex);
  if (given === undefined) {
    throw new ExchangeError('CONFIGURATION', `${name} is missing: chain ${chainId} is not the local one.`);
  }
  const { address } = privateKeyToAccount(given);
  for (let addressIndex = 0; addressIndex < KNOWN_ACCOUNTS; addressIndex++) {
    if (mnemonicToAccount(LOCAL_MNEMONIC, { addressIndex }).address !== address) continue;
    throw new ExchangeError(
      'CONFIGURATION',
      `${name} is a public test key, which everyone knows: it is refused on chain ${chainId}.`,
    );
  }
  return given;
}
