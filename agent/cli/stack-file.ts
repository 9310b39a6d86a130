import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailed } from './errors.ts';

/** The fields of `<state-dir>/stack.json` that commands read. `npm start` writes the file while it runs. */
export interface RunningStack {
  agent: string;
  adminToken?: string | null;
  redis?: string | null;
  postgres?: string | null;
  derivation?: { portOffset: number; moveInstances: boolean; runFolder: string };
}

/** The local stack that runs with this state folder, or null. Throws CommandFailed when the file is unreadable. */
export async function readStackFile(stateDir: string): Promise<RunningStack | null> {
  const file = join(stateDir, 'stack.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new CommandFailed(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  const value = parseJson(text);
  if (!isRunningStack(value)) throw new CommandFailed(`${file} is damaged or belongs to another version`);
  return value;
}

function isRunningStack(value: unknown): value is RunningStack {
  if (typeof value !== 'object' || value === null) return false;
  const { agent, adminToken, redis, postgres, derivation } = value as Record<string, unknown>;
  const isOptionalText = (one: unknown): boolean =>
    one === undefined || one === null || typeof one === 'string';
  return (
    typeof agent === 'string' &&
    [adminToken, redis, postgres].every(isOptionalText) &&
    (derivation === undefined || isDerivation(derivation))
  );
}

function isDerivation(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { portOffset, moveInstances, runFolder } = value as Record<string, unknown>;
  return (
    typeof portOffset === 'number' && typeof moveInstances === 'boolean' && typeof runFolder === 'string'
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
