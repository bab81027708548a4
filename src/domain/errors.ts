/** The one root of operational errors; rejections are values, broken invariants are assertions. */

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** code → HTTP status and title. Stable: clients switch on the code. */
export const ERROR_CATALOGUE = {
  VALIDATION_FAILED: { status: 400, title: 'The request does not match the schema' },
  MALFORMED_JSON: { status: 400, title: 'The body is not valid JSON' },
  INVALID_SIGNATURE: { status: 401, title: 'The signature does not recover to the account or its session key' },
  UNAUTHENTICATED: { status: 401, title: 'The request is not authenticated' },
  FORBIDDEN: { status: 403, title: 'The credentials do not allow this' },
  NOT_FOUND: { status: 404, title: 'There is no such resource' },
  CONFLICT: { status: 409, title: 'The same id was used with other content' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The content type is not supported' },
  ACCOUNT_UNKNOWN: { status: 422, title: 'The account never had a deposit' },
  ORDER_REJECTED: { status: 422, title: 'The order was refused' },
  WITHDRAWAL_REJECTED: { status: 422, title: 'The withdrawal was refused' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  INTERNAL: { status: 500, title: 'Internal error' },
  STATUS_UNKNOWN: {
    status: 503,
    title: 'The outcome is not known; look it up by client order id before sending again',
  },
  OVERLOADED: { status: 503, title: 'The engine is busy; retry later' },
  NOT_READY: { status: 503, title: 'The service is starting or has lost a dependency' },
  CHAIN_MISMATCH: { status: 500, title: 'The node serves another chain than the one recorded' },
  DEEP_REORG: { status: 500, title: 'The chain was reorganised past finality' },
  LEADERSHIP_LOST: { status: 503, title: 'Another engine leads' },
  JOURNAL_CORRUPT: { status: 500, title: 'The journal does not verify' },
  SNAPSHOT_CORRUPT: { status: 500, title: 'The snapshot does not verify' },
  RPC_FAILED: { status: 502, title: 'The RPC node failed' },
  CONFIGURATION: { status: 500, title: 'The configuration is not valid' },
} as const;

const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'RATE_LIMITED',
  'STATUS_UNKNOWN',
  'OVERLOADED',
  'NOT_READY',
  'RPC_FAILED',
  'LEADERSHIP_LOST',
]);

export class ExchangeError extends Error {
  override readonly name = 'ExchangeError';
  readonly code: ErrorCode;
  /** Whether the same request may succeed later without change. */
  readonly retryable: boolean;
  /** Machine-readable context: expected, got, reason. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = RETRYABLE.has(code);
    this.details = options.details ?? {};
  }
}
