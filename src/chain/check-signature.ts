/** Digest and signer of one signed message: what the worker pool runs, and what small tools call directly. */
import type { Address, Hash, Hex } from '../domain/units.ts';
import type { SignatureProblem } from './compact-signature.ts';
import type {
  ApiKeyMessage,
  CancelMessage,
  Digester,
  OrderMessage,
  SessionKeyMessage,
  WithdrawalMessage,
} from './digests.ts';
import { recoverSigner } from './recover.ts';

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
  const digest = digestOf(digester, signed);
  const account = signed.message.account;
  if (signed.kind === 'order' && signed.signature === '0x') {
    return { digest, account, signer: account, compact: '0x', problem: undefined };
  }
  const result = recoverSigner(digest, signed.signature);
  if (result.kind === 'malformed') {
    return { digest, account, signer: undefined, compact: undefined, problem: result.reason };
  }
  return { digest, account, signer: result.signer, compact: result.compact, problem: undefined };
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
