/**
 * Rows that an engine in the same process has journaled and applied, for a projector that stands right before them: it need not read
 * them back, verify what was written a moment ago, and apply them to an engine of its own.
 *
 * Bounded: when the projector falls behind by more than `LIVE_COMMANDS_MAX` commands, the oldest rows are forgotten, and it goes on
 * from the journal until it has come close again. Rows are kept only while somebody follows.
 */
import type { SequencedCommand } from '../../domain/commands.ts';
import type { AppliedCommand } from '../../domain/events.ts';

/** Commands of one committed row, and what each did. */
export type LiveRow = {
  readonly commands: readonly SequencedCommand[];
  readonly applied: readonly AppliedCommand[];
};

/** A second or two at full load. */
export const LIVE_COMMANDS_MAX = 10_000;

export class LiveRows {
  #rows: LiveRow[] = [];
  #held = 0;
  /** The last command that was offered; undefined before the first. */
  #last: number | undefined;
  #isFollowed = false;

  /** Rows come in journal order; one that does not follow the one before starts anew. */
  offer(row: LiveRow): void {
    const first = row.commands[0]?.sequence;
    if (first === undefined) return;
    if (this.#last !== undefined && first !== this.#last + 1) this.#clear();
    this.#last = first + row.commands.length - 1;
    if (!this.#isFollowed) return;
    this.#rows.push(row);
    this.#held += row.commands.length;
    while (this.#held > LIVE_COMMANDS_MAX) this.#held -= this.#rows.shift()?.commands.length ?? 0;
  }

  follow(isFollowed: boolean): void {
    this.#isFollowed = isFollowed;
    if (!isFollowed) this.#clear();
  }

  /**
   * The rows right after the command at `sequence`, which ends a row: about `commandsMax` commands, none when it is the last. They
   * are given once. Undefined when they are not here, so that only the journal can tell.
   */
  takeAfter(sequence: number, commandsMax: number): readonly LiveRow[] | undefined {
    if (sequence === this.#last) return [];
    const start = this.#rows.findIndex(({ commands }) => commands[0]?.sequence === sequence + 1);
    if (start === -1) return undefined;
    let end = start;
    for (let count = 0; end < this.#rows.length && count < commandsMax; end++) {
      count += this.#rows[end]?.commands.length ?? 0;
    }
    const taken = this.#rows.splice(0, end);
    for (const { commands } of taken) this.#held -= commands.length;
    return taken.slice(start);
  }

  #clear(): void {
    this.#rows = [];
    this.#held = 0;
  }
}
