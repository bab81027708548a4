/**
 * What one command did, in order, as numbers: written without allocation while matching, turned into events afterwards.
 * Records are read before the next command begins, while the order records they name still hold their content.
 */
import type { EngineEvent } from '../domain/events.ts';

/** Kinds of record, and their two figures. */
/** order id; lots resting afterwards. */
export const ACCEPTED = 1;
/** ordinal among all trades ever appended; −. */
export const TRADED = 2;
/** order id; status × 64 + cancel reason. */
export const DONE = 3;
/** order id; lots left. */
export const REDUCED = 4;
/** order id; −. */
export const TRIGGERED = 5;
/** index into `objects`; −. */
export const OBJECT = 6;
/** −; −: the newest batch in flight. */
export const SEALED = 7;
/** balance slot of the quote asset; the day's settled volume. */
export const VOLUME = 8;
/** reject code; −: of the command's order. */
export const ORDER_REJECTED = 9;
/** reject code; −: what the command asked for a live order. */
export const CANCEL_REJECTED = 10;

export const STATUS_FILLED = 0;
export const STATUS_CANCELLED = 1;
export const STATUS_EXPIRED = 2;

const STRIDE = 4;

export class EventSink {
  /** kind, figure, figure, lots filled (DONE). */
  records = new Float64Array(256 * STRIDE);
  count = 0;
  /** Events of rare commands, as they are. */
  readonly objects: EngineEvent[] = [];
  /** Touched price levels: market, side, price; may repeat. */
  levels = new Int32Array(256 * 3);
  levelCount = 0;

  begin(): void {
    this.count = 0;
    this.levelCount = 0;
    if (this.objects.length > 0) this.objects.length = 0;
  }

  /** @returns the record's position, for `patch`. */
  write(kind: number, first: number, second: number, filled: number): number {
    const at = this.count * STRIDE;
    if (at === this.records.length) {
      const grown = new Float64Array(this.records.length * 2);
      grown.set(this.records);
      this.records = grown;
    }
    this.records[at] = kind;
    this.records[at + 1] = first;
    this.records[at + 2] = second;
    this.records[at + 3] = filled;
    return this.count++;
  }

  /** Sets the second figure of a record written earlier. */
  patch(position: number, second: number): void {
    this.records[position * STRIDE + 2] = second;
  }

  push(event: EngineEvent): void {
    this.write(OBJECT, this.objects.length, 0, 0);
    this.objects.push(event);
  }

  level(market: number, side: number, price: number): void {
    const at = this.levelCount * 3;
    const levels = this.levels;
    if (at > 0 && levels[at - 1] === price && levels[at - 2] === side && levels[at - 3] === market) return;
    if (at === levels.length) {
      this.levels = new Int32Array(levels.length * 2);
      this.levels.set(levels);
    }
    this.levels[at] = market;
    this.levels[at + 1] = side;
    this.levels[at + 2] = price;
    this.levelCount++;
  }
}

export const recordKind = (sink: EventSink, position: number): number => sink.records[position * STRIDE]!;
export const recordFirst = (sink: EventSink, position: number): number => sink.records[position * STRIDE + 1]!;
export const recordSecond = (sink: EventSink, position: number): number => sink.records[position * STRIDE + 2]!;
export const recordFilled = (sink: EventSink, position: number): number => sink.records[position * STRIDE + 3]!;
