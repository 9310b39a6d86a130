import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Where history is kept, for commands that read it directly: DATABASE_URL, else the running local stack's Postgres, else
 * the embedded database a running agent keeps open. Null when none of them is there.
 */
export function findDatabaseUrl(options: { env: NodeJS.ProcessEnv; stateDir: string }): string | null {
  const { env, stateDir } = options;
  return env.DATABASE_URL || stackUrl(stateDir) || readText(noteFile(stateDir));
}

/** The embedded database's address, for `databaseUrl`; 0600, gone when the agent stops. */
export function saveEmbeddedUrl(stateDir: string, url: string): () => void {
  writeFileSync(noteFile(stateDir), url, { mode: 0o600 });
  return () => rmSync(noteFile(stateDir), { force: true });
}

const noteFile = (stateDir: string): string => join(stateDir, 'database.url');

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
