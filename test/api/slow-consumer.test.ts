/** A socket that does not read costs bounded memory: it is conflated, then given the whole picture again, or closed. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { Channel } from '../../src/api/stream/channel.ts';
import { CLOSE_CODES, Connection, HARD_BYTES, SOFT_BYTES, type Socket } from '../../src/api/stream/connection.ts';

/** Takes what it is sent, and lets the test say how much of it still waits. */
class StillSocket extends EventEmitter {
  readonly sent: string[] = [];
  bufferedAmount = 0;
  readyState = 1 as const;
  closedWith: number | undefined;

  send(text: string): void {
    this.sent.push(text);
  }

  close(code: number): void {
    this.closedWith = code;
  }

  terminate(): void {
    this.closedWith ??= -1;
  }

  ping(): void {
    this.emit('ping');
  }
}

describe('a slow consumer', () => {
  let socket: StillSocket;
  let connection: Connection;
  let channel: Channel;
  let seq: number;

  beforeEach(() => {
    socket = new StillSocket();
    connection = new Connection(socket as unknown as Socket);
    seq = 0;
    channel = new Channel({ channel: 'trades', market: 'WETH-USDC' }, () => ({ seq, body: { trades: [seq] } }));
    connection.follow('trades:WETH-USDC', channel);
  });
  afterEach(() => {
    connection.dispose();
  });

  const publish = (): void => {
    seq++;
    channel.publish({ seq, prevSeq: seq - 1, body: { trades: [seq] } });
  };

  it('is let go of when it closes, also by a channel that was still being opened', () => {
    connection.dispose();
    assert.equal(channel.subscriberCount, 0);
    assert.equal(connection.follow('trades:WETH-USDC', channel), false);
    assert.equal(channel.subscriberCount, 0);
  });

  it('is left out while it lags, and gets one snapshot when it has caught up', async () => {
    publish();
    socket.bufferedAmount = SOFT_BYTES + 1;
    for (let count = 0; count < 10_000; count++) publish();
    assert.equal(socket.sent.length, 1);
    socket.bufferedAmount = 0;
    await new Promise((resolve) => setTimeout(resolve, 250));
    publish();
    const [, resync, next] = socket.sent.map((text) => JSON.parse(text));
    assert.equal(resync.type, 'resync');
    assert.deepEqual(resync.trades, [10_001]);
    assert.equal(next.type, 'delta');
    assert.equal(next.prevSeq, resync.seq);
  });

  it('is closed with the documented code when its answers pile up', () => {
    socket.bufferedAmount = HARD_BYTES + 1;
    connection.send({ op: 'pong' });
    assert.equal(socket.closedWith, CLOSE_CODES.slowConsumer);
  });

  it('does not hold up others on the same channel', () => {
    const other = new StillSocket();
    const reader = new Connection(other as unknown as Socket);
    reader.follow('trades:WETH-USDC', channel);
    socket.bufferedAmount = SOFT_BYTES + 1;
    for (let count = 0; count < 100; count++) publish();
    assert.equal(other.sent.length, 100);
    reader.dispose();
  });

  it('keeps a bounded number of deltas for those who resume', () => {
    for (let count = 0; count < 10_000; count++) publish();
    assert.equal(channel.since(seq)?.length, 0);
    assert.equal(channel.since(seq - 500)?.length, 500);
    assert.equal(channel.since(1), undefined);
  });
});
