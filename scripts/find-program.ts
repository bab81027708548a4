import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs the tests need from the system: the variable that names one, and the names it goes by. */
const SYSTEM_PROGRAMS = {
  'redis-server': { variable: 'REDIS_SERVER', names: ['redis-server', 'valkey-server'] },
  chromium: {
    variable: 'CHROMIUM',
    names: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
  },
} as const;

export type SystemProgram = keyof typeof SYSTEM_PROGRAMS;

/** The absolute path of a program, from its environment variable or the search path; undefined where there is none. */
export function findProgram(program: SystemProgram): string | undefined {
  const { variable, names } = SYSTEM_PROGRAMS[program];
  const named = process.env[variable];
  if (named !== undefined && named !== '') return named;
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
