/** Commands, frames and an engine's side that keeps count, for the tests of the transports. */
import type { UserCommand } from '../../src/domain/commands.ts';
import type { AppliedCommand, EngineEvent } from '../../src/domain/events.ts';
import type { NewOrder } from '../../src/domain/orders.ts';
import type {
  Hex,
  JournalSequence,
  Lots,
  Ppm,
  PriceTicks,
  TimestampMs,
  TimestampSeconds,
} from '../../src/domain/units.ts';
import type { CommandHandler, CommandReply } from '../../src/messaging/port.ts';

const SEQUENCE_START = 100;

export const TRANSPORT_SECRET = 'a secret that Redis does not know, of 32 characters and more';

export function sampleOrder(number: number): NewOrder {
  return {
    account: `0x${'a1'.repeat(20)}`,
    market: 0,
    side: 'buy',
    sizeLots: 5 as Lots,
    priceTicks: 100 as PriceTicks,
    timeInForce: 'gtc',
    postOnly: false,
    lane: number,
    orderSequence: 1_000 + number,
    expiry: 2_000_000_000 as TimestampSeconds,
    maxFeePpm: 1_000 as Ppm,
    signer: `0x${'a1'.repeat(20)}`,
    digest: `0x${number.toString(16).padStart(64, '0')}`,
    signature: `0x${'11'.repeat(64)}`,
    clientOrderId: `order-${number}`,
    selfTradePrevention: 'cancel_newest',
    stop: undefined,
  };
}

export function placement(number: number): UserCommand {
  return { kind: 'placeOrder', order: sampleOrder(number) };
}

export function soon(durationMs = 3_000): { notAfterMs: TimestampMs } {
  return { notAfterMs: (Date.now() + durationMs) as TimestampMs };
}

export function frame(sequence: number, events: readonly EngineEvent[] = []): AppliedCommand {
  return { sequence: sequence as JournalSequence, timestampMs: (1_000 + sequence) as TimestampMs, events };
}

export function level(side: 'buy' | 'sell', price: number, size: number): EngineEvent {
  return { kind: 'levelChanged', market: 0, side, price: price as PriceTicks, size: size as Lots };
}

export function trade(tradeId: number, price: number): EngineEvent {
  const side = { account: `0x${'a1'.repeat(20)}`, lane: 0, orderSequence: 1, digest: `0x${'00'.repeat(32)}` } as const;
  const fees = { feePpm: 0 as Ppm, fee: 0 } as Pick<Extract<EngineEvent, { kind: 'trade' }>['taker'], 'feePpm' | 'fee'>;
  return {
    kind: 'trade',
    tradeId,
    market: 0,
    price: price as PriceTicks,
    size: 1 as Lots,
    takerSide: 'buy',
    taker: { ...side, ...fees },
    maker: { ...side, ...fees },
  };
}

/** An engine that accepts every order and counts how often it executed each command. */
export function countingEngine(delayMs = 0): {
  handler: CommandHandler;
  executions: () => ReadonlyMap<string, number>;
} {
  const executions = new Map<string, number>();
  let sequence = SEQUENCE_START;
  return {
    executions: () => executions,
    handler: async (command): Promise<CommandReply> => {
      const key = command.kind === 'placeOrder' ? command.order.clientOrderId : command.kind;
      executions.set(key, (executions.get(key) ?? 0) + 1);
      const at = ++sequence as JournalSequence;
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
      const events: EngineEvent[] =
        command.kind === 'placeOrder'
          ? [{ kind: 'orderAccepted', order: command.order, resting: command.order.sizeLots }]
          : [];
      const hash: Hex = `0x${'22'.repeat(32)}`;
      const receipt = {
        sequence: at,
        rowHash: hash,
        merkleRoot: hash,
        leafIndex: 0,
        leafCount: 1,
        proof: [],
        signature: hash,
      };
      return { kind: 'committed', sequence: at, timestampMs: 1_000 as TimestampMs, events, receipt };
    },
  };
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
