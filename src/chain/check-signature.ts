/** Digest and signer of one signed message: what the worker pool runs, and what small tools call directly. */
import type { Address, Hash, Hex } from '../domain/units.ts';
import { joinCompact, type SignatureParts, type SignatureProblem, splitSignature } from './compact-signature.ts';
import type {
  ApiKeyMessage,
  CancelMessage,
  Digester,
  OrderMessage,
  SessionKeyMessage,
  WithdrawalMessage,
} from './digests.ts';
import { hexToBytes } from './hex.ts';
import { recoverAddress } from './recover.ts';

/** A message in range (see `parseOrder`, `parseWithdrawal`) and the signature that came with it, as hex. */
export type SignedMessage =
  | { readonly kind: 'order'; readonly message: OrderMessage; readonly signature: string }
  | { readonly kind: 'withdrawal'; readonly message: WithdrawalMessage; readonly signature: string }
  | { readonly kind: 'sessionKey'; readonly message: SessionKeyMessage; readonly signature: string }
  | { readonly kind: 'cancel'; readonly message: CancelMessage; readonly signature: string }
  | { readonly kind: 'apiKey'; readonly message: ApiKeyMessage; readonly signature: string };

export type CheckedSignature = {
  readonly digest: Hash;
  /** The account named in the message. */
  readonly account: Address;
  /**
   * Who signed. Undefined when nobody can be recovered; `problem` then says why. For an order without a signature (`0x`,
   * registered on chain) it is the account itself: the engine asks for the registration.
   */
  readonly signer: Address | undefined;
  /** 64-byte compact form, `0x` for an order registered on chain. Undefined when malformed. */
  readonly compact: Hex | undefined;
  readonly problem: SignatureProblem | undefined;
};

/** Never throws on what a client sent, provided that the message is in range. */
export function checkSignature(digester: Digester, signed: SignedMessage): CheckedSignature {
  const prepared = prepareCheck(digester, signed);
  if (prepared.kind === 'checked') return prepared.checked;
  return recoveredAs(prepared, recoverAddress(prepared.digestBytes, prepared.parts));
}

/** A check up to the recovery itself, which is what costs. */
export type PreparedCheck =
  | { readonly kind: 'checked'; readonly checked: CheckedSignature }
  | {
      readonly kind: 'recover';
      readonly digest: Hash;
      readonly digestBytes: Uint8Array;
      readonly account: Address;
      readonly parts: SignatureParts;
    };

/** @throws RangeError when the message is out of range */
export function prepareCheck(digester: Digester, signed: SignedMessage): PreparedCheck {
  const digest = digestOf(digester, signed);
  const { account } = signed.message;
  if (signed.kind === 'order' && signed.signature === '0x') {
    return { kind: 'checked', checked: { digest, account, signer: account, compact: '0x', problem: undefined } };
  }
  const parts = splitSignature(signed.signature);
  if (typeof parts === 'string') return { kind: 'checked', checked: unsigned(digest, account, parts) };
  return { kind: 'recover', digest, digestBytes: hexToBytes(digest), account, parts };
}

/** The outcome of a prepared check; `signer` is undefined when no key matches the signature. */
export function recoveredAs(
  { digest, account, parts }: Extract<PreparedCheck, { kind: 'recover' }>,
  signer: Address | undefined,
): CheckedSignature {
  if (signer === undefined) return unsigned(digest, account, 'not_recoverable');
  // One text for both: an order keeps its signer as long as it lives.
  const sameSigner = signer === account ? account : signer;
  return { digest, account, signer: sameSigner, compact: joinCompact(parts), problem: undefined };
}

function unsigned(digest: Hash, account: Address, problem: SignatureProblem): CheckedSignature {
  return { digest, account, signer: undefined, compact: undefined, problem };
}

function digestOf(digester: Digester, signed: SignedMessage): Hash {
  switch (signed.kind) {
    case 'order':
      return digester.order(signed.message);
    case 'withdrawal':
      return digester.withdrawal(signed.message);
    case 'sessionKey':
      return digester.sessionKey(signed.message);
    case 'cancel':
      return digester.cancel(signed.message);
    case 'apiKey':
      return digester.apiKey(signed.message);
  }
}
