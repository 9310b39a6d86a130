import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A private (0700) folder with a short name: socket paths over 97 characters are refused. */
export function createPrivateFolder(prefix: string, parent = tmpdir()): string {
  return mkdtempSync(join(parent, `${prefix}-`));
}

export function removeFolder(folder: string): void {
  // Again, when a process that is just being killed has put something into it meanwhile.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}
