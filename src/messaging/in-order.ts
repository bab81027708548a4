/** Turns frames that may repeat or be missing into what a subscriber is promised: ascending, each once, losses announced. */
import type { AppliedCommand } from '../domain/events.ts';
import type { JournalSequence } from '../domain/units.ts';
import type { EventSubscriber } from './port.ts';

/** A function that takes frames as they arrive. The first frame seen sets the start; there is no gap before it. */
export function deliverInOrder(subscriber: EventSubscriber): (frames: readonly AppliedCommand[]) => void {
  let last: number | undefined;
  return (frames) => {
    let ready: AppliedCommand[] = [];
    for (const frame of frames) {
      if (last !== undefined && frame.sequence <= last) continue;
      if (last !== undefined && frame.sequence !== last + 1) {
        if (ready.length > 0) subscriber.onApplied(ready);
        ready = [];
        subscriber.onGap({ expected: (last + 1) as JournalSequence, got: frame.sequence });
      }
      last = frame.sequence;
      ready.push(frame);
    }
    if (ready.length > 0) subscriber.onApplied(ready);
  };
}
