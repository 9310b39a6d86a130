import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Creates a private (0700) folder with a short name: socket paths are limited to 97 characters. */
export function createPrivateFolder(prefix: string, parent = tmpdir()): string {
  return mkdtempSync(join(parent, `${prefix}-`));
}

export function removeFolder(folder: string): void {
  // Retries, because a process that is ending can still write into the folder.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

/** Runs `start` with a private folder. Removes the folder when the start fails, or when the server stops. */
export async function startInPrivateFolder<Server extends { stop(): Promise<void> }>(
  prefix: string,
  parent: string | undefined,
  start: (folder: string) => Promise<Server>,
): Promise<Server> {
  const folder = createPrivateFolder(prefix, parent);
  try {
    const server = await start(folder);
    return {
      ...server,
      async stop() {
        await server.stop();
        removeFolder(folder);
      },
    };
  } catch (error) {
    removeFolder(folder);
    throw error;
  }
}
