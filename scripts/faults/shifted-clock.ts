/**
 * Loaded into a process ahead of its program (`node --import`): its wall clock is the machine's plus the milliseconds in the file that
 * CLOCK_OFFSET_FILE names, read at SIGUSR2. The monotonic clock stays as it is, as on a machine whose clock was set.
 */
import { readFileSync } from 'node:fs';

const file = process.env['CLOCK_OFFSET_FILE'] ?? '';
const realNow = Date.now.bind(Date);
let offsetMs = 0;

const read = (): void => {
  offsetMs = Number(readFileSync(file, 'utf8'));
};
read();
process.on('SIGUSR2', read);
Date.now = () => realNow() + offsetMs;
