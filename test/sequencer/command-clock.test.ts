import assert from 'node:assert/strict';
import { type ClockJump, CommandClock, checkClockAtStart } from '../../src/offchain-engine/sequencer/command-clock.ts';

const DEADLINE_MS = 10_000_000;

function clockAt(wallMs: number, lastTimestampMs = 0, stepMaxMs?: number) {
  const machine = { wallMs, monotonicMs: 500 };
  const jumps: ClockJump[] = [];
  const clock = new CommandClock({
    wall: { nowMs: () => machine.wallMs, monotonicMs: () => machine.monotonicMs },
    lastTimestampMs,
    onJump: (jump) => jumps.push(jump),
    ...(stepMaxMs === undefined ? {} : { stepMaxMs }),
  });
  const pass = (ms: number, stepMs = 0): void => {
    machine.wallMs += ms + stepMs;
    machine.monotonicMs += ms;
  };
  return { clock, pass, jumps };
}

describe('the time of commands', () => {
  it('follows the clock, over a long silence too', () => {
    const { clock, pass, jumps } = clockAt(1_000_000);
    assert.equal(clock.now(DEADLINE_MS), 1_000_000);
    pass(3_600_000);
    assert.equal(clock.now(DEADLINE_MS), 4_600_000);
    assert.deepEqual(jumps, []);
  });

  it('stands still while the clock is behind the last command', () => {
    const { clock, pass } = clockAt(1_000_000, 1_001_000);
    assert.equal(clock.now(DEADLINE_MS), 1_001_000);
    pass(500);
    assert.equal(clock.now(DEADLINE_MS), 1_001_000);
    pass(1_000, -400);
    assert.equal(clock.now(DEADLINE_MS), 1_001_100);
  });

  it('does not follow a forward jump of more than 5 s until an operator accepts it', () => {
    const { clock, pass, jumps } = clockAt(1_000_000);
    pass(1_000, 5_001);
    assert.equal(clock.now(DEADLINE_MS), 1_001_000);
    pass(2_000);
    assert.equal(clock.now(DEADLINE_MS), 1_003_000);
    assert.deepEqual(jumps, [{ stepMs: 5_001 }]);
    clock.acceptJump();
    assert.equal(clock.now(DEADLINE_MS), 1_008_001);
  });

  it('follows a smaller jump, and any forward jump while nothing can expire', () => {
    const { clock, pass, jumps } = clockAt(1_000_000);
    pass(0, 4_999);
    assert.equal(clock.now(DEADLINE_MS), 1_004_999);
    pass(0, 60_000);
    assert.equal(clock.now(undefined), 1_064_999);
    assert.deepEqual(jumps, []);
  });

  it('goes on at its own pace when the clock is set far back', () => {
    const { clock, pass, jumps } = clockAt(1_000_000);
    pass(1_000, -3_600_000);
    assert.equal(clock.now(undefined), 1_001_000);
    pass(1_000);
    assert.equal(clock.now(DEADLINE_MS), 1_002_000);
    assert.deepEqual(jumps, [{ stepMs: -3_600_000 }]);
  });

  it('is where it was when the clock is set back and forth, whether or not something can expire', () => {
    for (const deadlineMs of [DEADLINE_MS, undefined]) {
      const { clock, pass } = clockAt(1_000_000);
      pass(1_000, -3_600_000);
      assert.equal(clock.now(deadlineMs), 1_001_000);
      pass(1_000, 3_600_000);
      assert.equal(clock.now(deadlineMs), 1_002_000);
      pass(1_000, 60_000);
      assert.equal(clock.now(undefined), 1_063_000);
    }
  });

  it('goes on from the journal when the journal is far ahead of the clock', () => {
    const { clock, pass, jumps } = clockAt(1_000_000, 9_000_000);
    pass(1_000);
    assert.equal(clock.now(DEADLINE_MS), 9_001_000);
    assert.deepEqual(jumps, [{ stepMs: -8_000_000 }]);
  });

  it('follows everything where the check is switched off', () => {
    const { clock, pass, jumps } = clockAt(1_000_000, 0, Infinity);
    pass(0, 3_600_000);
    assert.equal(clock.now(DEADLINE_MS), 4_600_000);
    assert.deepEqual(jumps, []);
  });

  it('needs the database as a witness at a start, or nothing to expire, or an operator', () => {
    const start = {
      wallMs: 100_000,
      databaseMs: 100_000 - 5_001,
      nextDeadlineMs: 1 as number | undefined,
      accepted: false,
    };
    assert.throws(() => checkClockAtStart(start), { code: 'CONFIGURATION' });
    checkClockAtStart({ ...start, databaseMs: 100_000 + 5_000 });
    checkClockAtStart({ ...start, nextDeadlineMs: undefined });
    checkClockAtStart({ ...start, accepted: true });
  });
});
