/** Sets the dead man's switch by our clock: what REST and WebSocket share. */
import type { Address, TimestampMs } from '../../domain/units.ts';
import type { ApiContext } from '../context.ts';

/** @returns when everything is cancelled; undefined when the switch is off. @throws ProblemError ACCOUNT_UNKNOWN, OVERLOADED, STATUS_UNKNOWN */
export async function cancelAfterTimeout(
  account: Address,
  timeoutMs: number,
  { desk, clock }: Pick<ApiContext, 'desk' | 'clock'>,
): Promise<TimestampMs | undefined> {
  const deadline = timeoutMs === 0 ? undefined : ((clock() + timeoutMs) as TimestampMs);
  await desk.cancelAfter(account, deadline);
  return deadline;
}
