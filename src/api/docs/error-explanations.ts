/** What each error code means to a caller, and what to do. The page that a problem's `type` opens shows it. */
import type { ErrorCode } from '../../domain/errors.ts';

export const ERROR_EXPLANATIONS: Readonly<Record<ErrorCode, string>> = {
  VALIDATION_FAILED:
    'A field is missing, misspelt, of the wrong type or out of range; `errors` names each one. Numbers in signed messages are decimal strings. Nothing was changed.',
  MALFORMED_JSON:
    'The body is not JSON as this API takes it: valid UTF-8, no key twice in one object, at most 12 levels deep, numbers only as plain integers. Nothing was changed.',
  INVALID_SIGNATURE:
    'The signature does not recover to the account, nor to one of its valid session keys. `signature` tells the expected account, the recovered signer, the digest and the domain that were used. A signer that differs with every attempt means that another message was signed: compare the digest with your own; POST /api/v1/orders/validate shows the struct hash too. Usual causes: wrong chain id or vault in the domain, amounts in whole tokens instead of base units, expiry in milliseconds instead of seconds.',
  UNAUTHENTICATED:
    'The endpoint needs an API key, or the credentials do not hold: wrong signature, timestamp outside the receive window (GET /api/v1/time tells our clock), key expired or revoked.',
  FORBIDDEN:
    'The API key is good but lacks the scope. Keys never withdraw: a withdrawal carries the owner’s own signature.',
  NOT_FOUND: 'There is no such path or resource, or it belongs to another account.',
  CONFLICT:
    'The client order id, or the signed order, was used before with other content; `existingOrderId` names it. The same id with the same content gives the original instead.',
  PAYLOAD_TOO_LARGE: 'Send less at once; POST /api/v1/orders/batch takes up to 50 orders.',
  UNSUPPORTED_MEDIA_TYPE: 'Send the body with Content-Type: application/json.',
  ACCOUNT_UNKNOWN:
    'The account never had a deposit in this vault, so that it can neither trade nor withdraw, and its requests do not reach the engine. Deposit first; GET /api/v1/contracts names the vault and its chain. Usual causes: a wallet of another chain or another exchange, an account that signs for another one (`account` is the owner, not the session key). A deposit counts from the moment its transaction is in a block; it can be traded once that block is final.',
  ORDER_REJECTED:
    'The engine read the order and refused it; `errors[].code` is the reason and `errors[].message` says it in words. The refusal is in the journal and nothing was locked. Reasons are listed below.',
  WITHDRAWAL_REJECTED:
    'The engine refused the withdrawal; `errors[].code` is the reason. Nothing was debited. An exit on chain is open whatever is refused here.',
  RATE_LIMITED:
    'Too many requests from this address. RateLimit-Reset and Retry-After tell in how many seconds to go on.',
  INTERNAL: 'Something went wrong on our side. The x-request-id of the answer finds it in our logs.',
  STATUS_UNKNOWN:
    'The engine did not answer in time, or knows the nonce already while what is shown here is behind: the request may or may not have been executed. Look it up by client order id or order id, or send exactly the same signed bytes again: that never executes twice.',
  OVERLOADED:
    'The engine’s queue is full. The request was certainly not executed; wait for Retry-After and send it again.',
  NOT_READY: 'The service is starting, or has lost a dependency for the moment. Retry.',
  CHAIN_MISMATCH: 'The node serves another chain than the one recorded. The operator has to act.',
  DEEP_REORG: 'The chain was reorganised past finality. Services have halted; the operator has to act.',
  LEADERSHIP_LOST: 'Another engine has taken over. Retry.',
  JOURNAL_CORRUPT: 'The journal does not verify. The engine has halted; the operator has to act.',
  SNAPSHOT_CORRUPT: 'A snapshot does not verify. The engine recovers from an older one or from the journal.',
  RPC_FAILED: 'The node of the chain did not answer. Retry.',
  CONFIGURATION: 'The service is not configured properly. The operator has to act.',
};
