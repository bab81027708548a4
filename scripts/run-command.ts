import { spawn } from 'node:child_process';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROJECT_DIRECTORY = fileURLToPath(new URL('..', import.meta.url));

export type CommandResult = {
  readonly exitCode: number;
  /** What it printed on standard output; empty unless it was to be read. */
  readonly output: string;
  /** Why it was ended from here, when it was. */
  readonly ended: string | undefined;
};

/** Says why a running command is to be ended, or nothing while all is well; asked once a second. */
type EndCheck = () => string | undefined;

/**
 * Runs a command of the project, its own tools and its own Node first on the search path, and lets its output through.
 *
 * @param options.quiet shows nothing of what it prints
 * @param options.readOutput also returns standard output
 * @param options.hold shows what it prints when it has ended, in one piece, so that commands side by side stay readable
 * @param options.shouldEnd the command is killed when this gives a reason
 */
export function runCommand(
  command: readonly [string, ...string[]],
  options: {
    readonly quiet?: boolean;
    readonly readOutput?: boolean;
    readonly hold?: boolean;
    readonly env?: NodeJS.ProcessEnv;
    readonly shouldEnd?: EndCheck;
  } = {},
): Promise<CommandResult> {
  const [program, ...args] = command;
  const tools = fileURLToPath(new URL('../node_modules/.bin', import.meta.url));
  const env = { ...process.env, ...options.env, PATH: `${tools}${delimiter}${process.env['PATH'] ?? ''}` };
  const shown = options.quiet === true ? 'ignore' : options.hold === true ? 'pipe' : 'inherit';
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: PROJECT_DIRECTORY,
      env,
      stdio: ['ignore', options.readOutput === true ? 'pipe' : shown, shown],
      shell: process.platform === 'win32',
    });
    let output = '';
    const held: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => {
      if (options.readOutput === true) output += chunk.toString('utf8');
      if (options.hold === true) held.push(chunk);
      else process.stdout.write(chunk);
    });
    child.stderr?.on('data', (chunk: Buffer) => held.push(chunk));
    let ended: string | undefined;
    const watch = setInterval(() => {
      ended ??= options.shouldEnd?.();
      if (ended !== undefined) child.kill('SIGKILL');
    }, 1_000);
    child.once('error', (error) => {
      clearInterval(watch);
      resolve({ exitCode: 127, output, ended: `${program} could not be started: ${error.message}` });
    });
    child.once('close', (code, signal) => {
      clearInterval(watch);
      if (held.length > 0) process.stdout.write(Buffer.concat(held));
      resolve({ exitCode: code ?? (signal === null ? 1 : 128), output, ended });
    });
  });
}
