import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../bin/tallystick.mjs', import.meta.url));
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

export type Ran = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of standard output. */
  readonly json: () => Record<string, unknown>;
};

/** Runs the command as a shell would, with nothing of this process's settings but what is given. */
export function runTallystick(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [LAUNCHER, ...args], {
    cwd: PROJECT,
    env: { PATH, HOME, DATA_DIRECTORY: 'no-such-directory', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes: Buffer) => {
    stdout += bytes.toString();
  });
  child.stderr.on('data', (bytes: Buffer) => {
    stderr += bytes.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const json = (): Record<string, unknown> => {
        const line = stdout.trimEnd().split('\n').at(-1) ?? '';
        try {
          return JSON.parse(line) as Record<string, unknown>;
        } catch {
          throw new Error(`no JSON at the end (exit code ${code}):\n${stdout}\n${stderr}`);
        }
      };
      resolve({ code, stdout, stderr, json });
    });
  });
}
