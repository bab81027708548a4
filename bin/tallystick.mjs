#!/usr/bin/env node
// Starts the command on the Node that the project brings with it (package `node`), whichever Node this file was started with: the sources are
// TypeScript, which older ones cannot run.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath;
  try {
    const directory = dirname(createRequire(import.meta.url).resolve('node/package.json'));
    const program = join(directory, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(program) ? program : undefined;
  } catch {
    return undefined;
  }
}

const node = findNode();
if (node === undefined) {
  process.stderr.write(
    `tallystick needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.versions.node}. Run "npm ci" in the project: it brings one.\n`,
  );
  process.exit(2);
}
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const cache = fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url));
const child = spawn(node, ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)], {
  stdio: 'inherit',
  // Halves the time to start; where the directory cannot be written, nothing is lost.
  env: { NODE_COMPILE_CACHE: cache, ...process.env },
});
// Ctrl-C reaches the child by itself; it decides when to end. What is sent to this process alone is passed on.
process.on('SIGINT', () => undefined);
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('error', (error) => {
  process.stderr.write(`${node} could not be started: ${error.message}\n`);
  process.exit(70);
});
child.once('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
