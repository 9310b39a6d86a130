import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Puts all temporary files of a test run into one folder and removes it at the end, including files of killed processes.
 * Other users can traverse it, because Postgres runs as another user when the tests run as root.
 */
export default function setup(): () => void {
  const before = process.env.TMPDIR;
  const folder = mkdtempSync(join(tmpdir(), 'acgs-t'));
  chmodSync(folder, 0o711);
  process.env.TMPDIR = folder;
  return () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    // Retries, because a process that is ending can still write there.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
}
