/**
 * Opens WebSockets and holds them, in a process of its own: the limit of open files counts for each process.
 *
 * Usage (forked): many-sockets.ts PORT COUNT; says `{ open, refused }` once all have been answered, and ends when it is left alone.
 */
import { connect, type Socket } from 'node:net';

const [port, count] = process.argv.slice(2).map(Number);
const AT_ONCE = 100;
const UPGRADE =
  'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

const held: Socket[] = [];
let started = 0;
let refused = 0;

async function openOne(): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: port ?? 0 });
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (bytes) => resolve(String(bytes)));
    socket.once('error', (error) => resolve(error.message));
    socket.write(UPGRADE);
  });
  if (answer.startsWith('HTTP/1.1 101')) held.push(socket);
  else refused++;
  socket.on('error', () => undefined);
}

await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (started++ < (count ?? 0)) await openOne();
  }),
);
process.on('disconnect', () => process.exit(0));
process.send?.({ open: held.length, refused });
