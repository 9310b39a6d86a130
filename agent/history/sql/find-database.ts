import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The database URL for commands that read history directly: DATABASE_URL, otherwise the Postgres of the running local
 * stack, otherwise the embedded database of a running agent. Null when there is none.
 */
export function findDatabaseUrl(options: { env: NodeJS.ProcessEnv; stateDir: string }): string | null {
  const { env, stateDir } = options;
  return env.DATABASE_URL || stackUrl(stateDir) || readText(savedUrlFile(stateDir));
}

/** Saves the URL of the embedded database for `findDatabaseUrl`. The returned function removes the file. */
export function saveEmbeddedUrl(stateDir: string, url: string): () => void {
  writeFileSync(savedUrlFile(stateDir), url, { mode: 0o600 });
  return () => rmSync(savedUrlFile(stateDir), { force: true });
}

const savedUrlFile = (stateDir: string): string => join(stateDir, 'database.url');

function stackUrl(stateDir: string): string | null {
  const text = readText(join(stateDir, 'stack.json'));
  if (!text) return null;
  try {
    const { postgres } = JSON.parse(text) as { postgres?: unknown };
    return typeof postgres === 'string' ? postgres : null;
  } catch {
    return null;
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim() || null;
  } catch {
    return null;
  }
}
