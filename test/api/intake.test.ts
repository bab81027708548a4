import assert from 'node:assert/strict';
import { Intake } from '../../src/api/stream/intake.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the intake of messages', () => {
  let nowMs: number;
  let done: string[];
  let intake: Intake;
  const source = (name: string) => ({
    pause: () => done.push(`${name} paused`),
    resume: () => done.push(`${name} resumed`),
  });
  /** A message whose work takes a millisecond. */
  const work = (name: string) => (): void => {
    done.push(name);
    nowMs++;
  };

  beforeEach(() => {
    nowMs = 0;
    done = [];
    intake = new Intake(() => nowMs);
  });

  it('works at once on what comes while the turn has time', () => {
    const socket = source('a');
    for (const name of ['1', '2', '3']) intake.take(socket, work(name));
    assert.deepEqual(done, ['1', '2', '3']);
  });

  it('leaves the rest to later turns, in the order of arrival over all sockets', async () => {
    const [a, b] = [source('a'), source('b')];
    for (const name of ['1', '2', '3', '4', '5', '6', '7', '8'])
      intake.take(Number(name) % 2 === 0 ? a : b, work(name));
    assert.deepEqual(done, ['1', '2', '3']);
    await nextTurn();
    assert.deepEqual(done, ['1', '2', '3', '4', '5', '6']);
    // What comes meanwhile does not overtake.
    intake.take(a, work('9'));
    await nextTurn();
    assert.deepEqual(done.join(''), '123456789');
  });

  it('goes on when a single message takes longer than a turn', async () => {
    const socket = source('a');
    const slow = (): void => {
      done.push('slow');
      nowMs += 100;
    };
    for (let count = 0; count < 3; count++) intake.take(socket, slow);
    await nextTurn();
    await nextTurn();
    assert.deepEqual(done, ['slow', 'slow', 'slow']);
  });

  it('stops reading a socket that has too many waiting, until they are done', async () => {
    const socket = source('a');
    const quick = (): void => undefined;
    for (let count = 0; count < 3; count++) intake.take(socket, work('first'));
    for (let count = 0; count < 255; count++) intake.take(socket, quick);
    assert.ok(!done.includes('a paused'));
    for (let count = 0; count < 10; count++) intake.take(socket, quick);
    assert.deepEqual(done, ['first', 'first', 'first', 'a paused']);
    await nextTurn();
    assert.deepEqual(done.at(-1), 'a resumed');
    intake.take(socket, work('after'));
    assert.deepEqual(done.at(-1), 'after');
  });
});
