/**
 * A tiny state machine for tests of the sequencer itself: its state is the hash of every command it applied, and the figures
 * that the sequencer decides by can be set through commands. `placeOrder` counts as a trade to be sealed.
 */
import { createHash } from 'node:crypto';
import { decodeSequencedCommand, encodeSequencedCommand } from '../../src/domain/command-codec.ts';
import type { SequencedCommand, UserCommand } from '../../src/domain/commands.ts';
import type { AppliedCommand } from '../../src/domain/events.ts';
import type { EngineForm, LeadingEngine } from '../../src/offchain-engine/sequencer/ports.ts';

type State = {
  lastSequence: number;
  hash: string;
  nextDeadlineMs: number | undefined;
  unsealedTrades: number;
  oldestUnsealedTimestampMs: number | undefined;
  pendingWithdrawalCount: number;
};

export class RecordingEngine implements LeadingEngine {
  readonly state: State;
  /** Kinds in the order applied since this object was made. */
  readonly kinds: string[] = [];

  constructor(state?: State) {
    this.state = state ?? {
      lastSequence: 0,
      hash: '',
      nextDeadlineMs: undefined,
      unsealedTrades: 0,
      oldestUnsealedTimestampMs: undefined,
      pendingWithdrawalCount: 0,
    };
  }

  get lastSequence(): number {
    return this.state.lastSequence;
  }
  get nextDeadlineMs(): number | undefined {
    return this.state.nextDeadlineMs;
  }
  get unsealedTrades(): number {
    return this.state.unsealedTrades;
  }
  get oldestUnsealedTimestampMs(): number | undefined {
    return this.state.oldestUnsealedTimestampMs;
  }
  get pendingWithdrawalCount(): number {
    return this.state.pendingWithdrawalCount;
  }

  get canSeal(): boolean {
    return this.state.unsealedTrades > 0 || this.state.pendingWithdrawalCount > 0;
  }

  apply(sequenced: SequencedCommand): AppliedCommand {
    const { command, sequence, timestampMs } = sequenced;
    if (sequence !== this.state.lastSequence + 1)
      throw new Error(`expected ${this.state.lastSequence + 1}, got ${sequence}`);
    this.kinds.push(command.kind);
    this.state.lastSequence = sequence;
    this.state.hash = createHash('sha256')
      .update(this.state.hash)
      .update(encodeSequencedCommand(sequenced))
      .digest('hex');
    if (command.kind === 'placeOrder') {
      this.state.unsealedTrades++;
      this.state.oldestUnsealedTimestampMs ??= timestampMs;
    } else if (command.kind === 'requestWithdrawal') this.state.pendingWithdrawalCount++;
    else if (command.kind === 'cancelAfter') this.state.nextDeadlineMs = command.deadlineMs;
    else if (command.kind === 'tick') this.state.nextDeadlineMs = undefined;
    else if (command.kind === 'sealBatch') {
      this.state.unsealedTrades = 0;
      this.state.oldestUnsealedTimestampMs = undefined;
      this.state.pendingWithdrawalCount = 0;
    }
    return { sequence, timestampMs, events: [{ kind: 'withdrawalsHalted', reason: `${command.kind} ${sequence}` }] };
  }

  executeEncoded(encoded: readonly Uint8Array[]): void {
    for (const sequenced of encoded.map(decodeSequencedCommand)) this.apply(sequenced);
  }
}

export const RECORDING_FORM: EngineForm<RecordingEngine> = {
  create: () => new RecordingEngine(),
  restore: (body) => new RecordingEngine(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as State),
  encode: (engine) => new TextEncoder().encode(JSON.stringify(engine.state)),
  makeReady: () => ({ next: () => ({ done: true, value: undefined }) }),
  encodeInSteps: (engine) => {
    const text = JSON.stringify(engine.state);
    return { next: () => ({ done: true, value: new TextEncoder().encode(text) }) };
  },
  stateHash: (engine) => `0x${createHash('sha256').update(JSON.stringify(engine.state)).digest('hex')}`,
};

const ACCOUNT = `0x${'a1'.repeat(20)}` as const;
const unit = <T>(value: number): T => value as T;

export function place(orderSequence: number, account: `0x${string}` = ACCOUNT): UserCommand {
  return {
    kind: 'placeOrder',
    order: {
      account,
      market: 0,
      side: 'buy',
      sizeLots: unit(1),
      priceTicks: unit(1),
      timeInForce: 'gtc',
      postOnly: false,
      lane: 0,
      orderSequence,
      expiry: unit(2_000_000_000),
      maxFeePpm: unit(0),
      signer: account,
      digest: `0x${orderSequence.toString(16).padStart(64, '0')}`,
      signature: '0x',
      clientOrderId: '',
      selfTradePrevention: 'cancel_newest',
      stop: undefined,
    },
  };
}

export function cancel(orderSequence: number, account: `0x${string}` = ACCOUNT): UserCommand {
  return { kind: 'cancelOrder', order: { account, lane: 0, orderSequence } };
}

export function cancelAll(account: `0x${string}` = ACCOUNT): UserCommand {
  return { kind: 'cancelAllOrders', account, market: undefined };
}

export function cancelAfter(deadlineMs: number | undefined): UserCommand {
  return { kind: 'cancelAfter', account: ACCOUNT, deadlineMs: deadlineMs === undefined ? undefined : unit(deadlineMs) };
}

export function withdraw(withdrawalSequence: number): UserCommand {
  return {
    kind: 'requestWithdrawal',
    withdrawal: {
      account: ACCOUNT,
      asset: 0,
      amount: unit(1),
      recipient: ACCOUNT,
      native: false,
      lane: 0,
      withdrawalSequence,
      expiry: unit(2_000_000_000),
      maxFee: unit(0),
      digest: `0x${withdrawalSequence.toString(16).padStart(64, '0')}`,
      signature: '0x',
    },
  };
}
