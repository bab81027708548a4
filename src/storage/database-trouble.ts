/** Whether an error of pg means that the database was away or busy, so that the same work may succeed when it is done again. */

/** Connection lost or refused, server shutting down, out of resources, serialization or deadlock, lock or statement time-out. */
const TROUBLE_CODES = /^(08...|53...|57P0[1-5]|57014|40001|40P01|55P03|25P0[34]|ECONN[A-Z]+|EPIPE|ETIMEDOUT)$/;
/** pg itself raises these without a code. */
const TROUBLE_MESSAGES =
  /connection terminated|timeout exceeded when trying to connect|query read timeout|client has encountered a connection error/i;

export function isDatabaseTrouble(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && TROUBLE_CODES.test(code)) return true;
  if (error instanceof AggregateError) return error.errors.some(isDatabaseTrouble);
  return TROUBLE_MESSAGES.test(error.message);
}
