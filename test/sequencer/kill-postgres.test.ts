import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SequencerReply } from '../../src/offchain-engine/sequencer/ports.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/services/embedded-postgres.ts';
import { migrate } from '../../src/storage/database.ts';
import { type Led, sleep, soon, startLeader } from './leading.ts';
import { place } from './recording-engine.ts';

describe('a PostgreSQL that is killed under the sequencer', function () {
  this.timeout(90_000);
  let directory: string;
  let server: EmbeddedPostgres;
  let led: Led | undefined;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tallystick-kill-postgres-'));
    server = await startEmbeddedPostgres({ dataDirectory: directory });
    await migrate(server.url);
  });
  after(async () => {
    await led?.close();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function killAndRestart(): Promise<void> {
    process.kill(server.pid, 'SIGKILL');
    // Its children notice and end; a new server starts only once they are gone.
    for (let attempt = 1; ; attempt++) {
      await sleep(300);
      try {
        server = await startEmbeddedPostgres({ dataDirectory: directory, port: server.port });
        return;
      } catch (error) {
        if (attempt === 20) throw error;
      }
    }
  }

  it('has every acknowledged command when it comes back, and the sequencer goes on', async () => {
    led = await startLeader(server.url);
    const replies: SequencerReply[] = [];
    let trading = true;
    const traders = Array.from({ length: 8 }, async (_, trader) => {
      for (let index = 0; trading; index++) {
        replies.push(await (led as Led).sequencer.submit(place(trader * 1_000_000 + index), soon()));
      }
    });
    for (let kill = 0; kill < 2; kill++) {
      await sleep(300);
      await killAndRestart();
      const before = replies.length;
      for (const deadline = Date.now() + 20_000; replies.length < before + 100; await sleep(20)) {
        assert.ok(Date.now() < deadline, 'the sequencer did not go on');
      }
    }
    trading = false;
    await Promise.all(traders);

    const sequences = replies.flatMap((reply) => (reply.kind === 'committed' ? [reply.sequence] : []));
    assert.equal(sequences.length, replies.length, 'every command was acknowledged in the end');
    assert.equal(new Set(sequences).size, sequences.length);
    const journaled = await led.journal.readCommands(sequences);
    assert.equal(journaled.size, sequences.length);
    assert.equal((await led.journal.lastRow())?.lastSequence, led.engine.lastSequence);
  });
});
