import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parsePostgresUrl } from '../sql/postgres-url.ts';

/** A command is missing or failed. The message contains what it wrote to standard error. */
export class ToolError extends Error {
  override name = 'ToolError';
}

/** The database as environment variables for pg_dump and psql: on the command line `ps` would show the password. */
export function libpqEnvironment(databaseUrl: string): Record<string, string> {
  return parsePostgresUrl(databaseUrl).environment;
}

/** Runs a command without standard input and returns its standard output. Throws ToolError. */
export async function runTool(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4_000);
  });
  const [code] = await once(child, 'close').catch((cause: Error) => {
    throw new ToolError(`${command} cannot be started: ${cause.message}`, { cause });
  });
  if (code !== 0) throw new ToolError(`${command} failed with exit code ${code}: ${errors.trim()}`);
  return out;
}

/** Major version of pg_dump or psql; null when it is not installed. */
export async function toolVersion(command: string): Promise<number | null> {
  const text = await runTool(command, ['--version']).catch(() => null);
  const major = Number(/(\d+)(?:\.\d+)?/.exec(text ?? '')?.[1]);
  return major > 0 ? major : null;
}
