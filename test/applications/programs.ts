import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { findFlaskPython } from '../../dev/bootstrap/servers.mjs';
import { startChild, waitUntilReady } from '../../dev/servers/child.ts';
import type { RunningApplication } from './application.ts';

/** The scripts of applications in other languages. */
export const scriptPath = (name: string): string =>
  fileURLToPath(new URL(`scripts/${name}`, import.meta.url));

export const programOf = (name: string): string => {
  const path = findProgram(name);
  if (!path) throw new Error(`${name} is not installed`);
  return path;
};

/** For `Application.missing`. */
export const missingProgram =
  (...names: string[]) =>
  (): string | null =>
    names.find((name) => !findProgram(name)) ?? null;

export const missingFlask = (): string | null => (findFlaskPython() ? null : 'flask');

export interface ProgramStart {
  name: string;
  command: string;
  args: readonly string[];
  folder: string;
  port: number;
  env?: NodeJS.ProcessEnv;
}

/** Runs a server program until it answers on its port. */
export async function runProgram(start: ProgramStart): Promise<RunningApplication> {
  const { name, command, args, folder, port, env } = start;
  const child = await startChild({
    name,
    command,
    args,
    logFile: join(folder, `${name}.log`),
    ...(env && { env: { ...process.env, ...env } }),
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(child, async () => (await fetch(url)).status < 600);
  return { url, stop: () => child.stop() };
}
