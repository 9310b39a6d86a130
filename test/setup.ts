import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * All temporary files of one run live in one folder that goes with it, also those of processes that were killed on
 * purpose. Others may walk through it: Postgres runs as another user when the tests run as root.
 */
export default function setup(): () => void {
  const before = process.env.TMPDIR;
  const folder = mkdtempSync(join(tmpdir(), 'acgs-t'));
  chmodSync(folder, 0o711);
  process.env.TMPDIR = folder;
  return () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    // More than once: a process that is just ending may still write there.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
}
