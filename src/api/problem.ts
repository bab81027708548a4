/**
 * RFC 9457 problem documents: the one shape of every error this API answers with, over HTTP and over the WebSocket.
 * `code` is stable and is what clients switch on; `errors[].code` names the field's fault or the engine's reason.
 */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../domain/errors.ts';
import { ERROR_CATALOGUE, ExchangeError } from '../domain/errors.ts';
import { isDatabaseTrouble } from '../storage/database-trouble.ts';

export const PROBLEM_CONTENT_TYPE = 'application/problem+json; charset=utf-8';

/** Most entries of `errors`, so that a hostile body cannot blow up its own answer. */
const FIELD_ERRORS_MAX = 20;

/** `pointer` is a JSON pointer into the body ("/order/nonce"), or "query/limit", "path/id", "header/x"; empty for the whole request. */
export type FieldError = { readonly pointer: string; readonly code: string; readonly message: string };

export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly instance: string;
  readonly retryable: boolean;
  readonly errors: readonly FieldError[];
  /** Further members that belong to the code: `signature`, `existing`, `retryAfterMs`. */
  readonly [extension: string]: unknown;
};

/** An operational error with the fields at fault and what else the answer carries. */
export class ProblemError extends ExchangeError {
  readonly fieldErrors: readonly FieldError[];
  readonly extensions: Readonly<Record<string, unknown>>;
  /** Sent as Retry-After, in milliseconds; undefined means no such header. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      cause?: unknown;
      errors?: readonly FieldError[];
      extensions?: Readonly<Record<string, unknown>>;
      retryAfterMs?: number;
    } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause });
    this.fieldErrors = options.errors ?? [];
    this.extensions = options.extensions ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A request that fails a check; the detail repeats the first fault so that it reads well in a log. */
export function validationFailed(errors: readonly FieldError[]): ProblemError {
  const first = errors[0];
  const where = first === undefined || first.pointer === '' ? '' : `${first.pointer}: `;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return new ProblemError('VALIDATION_FAILED', `${where}${first?.message ?? 'The request is not valid.'}${more}`, {
    errors,
  });
}

export function notFound(what: string): ProblemError {
  return new ProblemError('NOT_FOUND', what);
}

/** The operational error behind anything that was thrown; what is not known becomes INTERNAL and says nothing of its cause. */
export function toExchangeError(error: unknown): ExchangeError {
  if (error instanceof ExchangeError) return error;
  if (isDatabaseTrouble(error)) {
    return new ProblemError('NOT_READY', 'The database does not answer at the moment; send the same request again.', {
      cause: error,
      retryAfterMs: 1_000,
    });
  }
  const fastifyError = error as Partial<FastifyError> & { statusCode?: number };
  if (Array.isArray(fastifyError.validation)) {
    return validationFailed(
      fieldErrorsOf(fastifyError.validation as AjvError[], fastifyError.validationContext ?? 'body'),
    );
  }
  switch (fastifyError.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ProblemError('PAYLOAD_TOO_LARGE', 'The body is larger than this endpoint takes.');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_INVALID_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return new ProblemError('UNSUPPORTED_MEDIA_TYPE', 'Send the body as application/json.');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new ProblemError('MALFORMED_JSON', 'The body is shorter or longer than its Content-Length.');
    default:
  }
  const status = fastifyError.statusCode ?? 500;
  if (status === 429) return new ProblemError('RATE_LIMITED', 'Too many requests; wait for Retry-After.');
  if (status === 404) return new ProblemError('NOT_FOUND', 'There is no such resource.');
  if (status >= 400 && status < 500)
    return new ProblemError('VALIDATION_FAILED', fastifyError.message ?? 'The request is not valid.', { cause: error });
  return new ProblemError('INTERNAL', 'Something went wrong on our side; the request id finds it in our logs.', {
    cause: error,
  });
}

/** The problem document for an error. `docsBase` is the origin that serves /docs, "" when it is not known. */
export function problemOf(error: ExchangeError, instance: string, docsBase: string): Problem {
  const entry = ERROR_CATALOGUE[error.code];
  const problemError = error instanceof ProblemError ? error : undefined;
  return {
    type: `${docsBase}/docs/errors/${error.code}`,
    title: entry.title,
    status: entry.status,
    code: error.code,
    // An internal error of ours may name tables or hosts: its text stays in the log.
    detail: entry.status === 500 && problemError === undefined ? entry.title : error.message,
    instance,
    retryable: error.retryable,
    errors: (problemError?.fieldErrors ?? []).slice(0, FIELD_ERRORS_MAX),
    ...problemError?.extensions,
  };
}

/** Origin under which the caller reached us, for absolute documentation links. */
export function docsBaseOf(request: FastifyRequest, publicUrl: string | undefined): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, '');
  return /^[A-Za-z0-9.:[\]-]+$/.test(request.host ?? '') ? `${request.protocol}://${request.host}` : '';
}

export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  publicUrl: string | undefined,
): FastifyReply {
  const exchangeError = toExchangeError(error);
  const problem = problemOf(exchangeError, request.url.split('?')[0] ?? '/', docsBaseOf(request, publicUrl));
  if (problem.status >= 500 && problem.status !== 503)
    request.log.error({ err: error, reqId: request.id }, 'request failed');
  if (exchangeError instanceof ProblemError && exchangeError.retryAfterMs !== undefined) {
    void reply.header('retry-after', String(Math.max(1, Math.ceil(exchangeError.retryAfterMs / 1000))));
  }
  return reply
    .code(problem.status)
    .headers({ 'content-type': PROBLEM_CONTENT_TYPE, 'x-request-id': request.id })
    .serializer(JSON.stringify)
    .send(problem);
}

type AjvError = {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly parentSchema?: { readonly description?: string };
};

/** Ajv's findings in the words of this API. */
export function fieldErrorsOf(errors: readonly AjvError[], context: string): FieldError[] {
  const prefix =
    context === 'body' ? '' : ({ querystring: 'query', params: 'path', headers: 'header' }[context] ?? context);
  return errors.map((error) => {
    const at = `${prefix}${error.instancePath}`;
    switch (error.keyword) {
      case 'required':
        return {
          pointer: `${at}/${String(error.params['missingProperty'])}`,
          code: 'required',
          message: 'This field is missing.',
        };
      case 'additionalProperties':
      case 'unevaluatedProperties':
        return {
          pointer: `${at}/${String(error.params['additionalProperty'] ?? error.params['unevaluatedProperty'])}`,
          code: 'unknown_field',
          message: 'There is no such field; check its spelling.',
        };
      case 'type':
        return {
          pointer: at,
          code: 'wrong_type',
          message: `Must be of type ${String(error.params['type'])}${described(error)}.`,
        };
      case 'enum':
        return {
          pointer: at,
          code: 'bad_value',
          message: `Must be one of ${(error.params['allowedValues'] as unknown[]).join(', ')}.`,
        };
      case 'const':
        return { pointer: at, code: 'bad_value', message: `Must be ${String(error.params['allowedValue'])}.` };
      case 'pattern':
        return { pointer: at, code: 'bad_format', message: `Does not have the expected form${described(error)}.` };
      case 'minimum':
      case 'maximum':
      case 'minLength':
      case 'maxLength':
      case 'minItems':
      case 'maxItems':
        return { pointer: at, code: 'out_of_range', message: `${sentence(error.message ?? 'out of range')}` };
      default:
        return { pointer: at, code: error.keyword, message: sentence(error.message ?? 'is not valid') };
    }
  });
}

function described(error: AjvError): string {
  const description = error.parentSchema?.description;
  return description === undefined ? '' : `: ${description.replace(/\.$/, '')}`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
