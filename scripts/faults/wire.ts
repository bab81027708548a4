/** A wire between processes and a server, which can be cut, hold answers back, and be led to another server. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Wire = {
  /** As the server's own, through the wire. */
  readonly url: string;
  /** Ends every connection and takes no new one. */
  readonly cut: () => void;
  /** Ends every connection; new ones go through. */
  readonly drop: () => void;
  /** What is asked goes through, what the server answers does not, until it is released or the connection ends. */
  readonly holdAnswers: () => void;
  readonly releaseAnswers: () => void;
  /** New connections go to this server. */
  readonly leadTo: (serverUrl: string) => void;
};

/** @param serverUrl with host and port */
export async function layWire(serverUrl: string): Promise<Wire> {
  let target = new URL(serverUrl);
  let holding = false;
  const pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  // Without delay, as clients and servers do: gathering small packets would cost 40 ms in the middle of an exchange.
  const server = createServer({ noDelay: true }, (near) => {
    const pair = { near, far: connect({ port: Number(target.port), host: target.hostname, noDelay: true }) };
    const { far } = pair;
    pairs.add(pair);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        pairs.delete(pair);
        other.destroy();
      });
    }
    near.pipe(far);
    if (!holding) far.pipe(near);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = new URL(serverUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  const drop = (): void => {
    for (const { near, far } of pairs) {
      near.destroy();
      far.destroy();
    }
  };
  return {
    url: url.href,
    cut: () => {
      server.close();
      drop();
    },
    drop,
    holdAnswers: () => {
      holding = true;
      for (const { near, far } of pairs) {
        far.unpipe(near);
        far.pause();
      }
    },
    releaseAnswers: () => {
      holding = false;
      for (const { near, far } of pairs) far.pipe(near);
    },
    leadTo: (serverUrlNow) => {
      target = new URL(serverUrlNow);
    },
  };
}
