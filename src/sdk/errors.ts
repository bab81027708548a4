/** The SDK's one error root. What the API refused keeps the API's own code; everything else has a code listed here. */

export type SdkErrorCode =
  | 'NETWORK'
  | 'TIMEOUT'
  | 'INVALID_ARGUMENT'
  | 'WRONG_NETWORK'
  | 'TRANSACTION_REVERTED'
  | 'FILL_VOIDED'
  | 'WITHDRAWAL_FAILED'
  | 'VERIFICATION_FAILED'
  | 'NO_RPC'
  | 'NO_LIQUIDITY'
  | (string & {});

export class TallystickError extends Error {
  override readonly name = 'TallystickError';
  /** One sentence: what was expected, what came, what to do. */
  readonly shortMessage: string;
  readonly code: SdkErrorCode;
  /** Page that explains the code; undefined when the error did not come from the API. */
  readonly docsUrl: string | undefined;
  /** Whether the same signed bytes may be sent again. */
  readonly retryable: boolean;
  /** The API's problem document or other context. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: SdkErrorCode,
    shortMessage: string,
    options: {
      cause?: unknown;
      docsUrl?: string | undefined;
      retryable?: boolean;
      details?: Readonly<Record<string, unknown>>;
    } = {},
  ) {
    super(`${code}: ${shortMessage}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.shortMessage = shortMessage;
    this.docsUrl = options.docsUrl;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }

  /** The deepest cause, or the first one for which `matches` holds; undefined when none does. */
  walk(matches?: (error: unknown) => boolean): unknown {
    let current: unknown = this;
    for (;;) {
      if (matches?.(current)) return current;
      const cause = current instanceof Error ? current.cause : undefined;
      if (cause === undefined) return matches === undefined ? current : undefined;
      current = cause;
    }
  }
}
