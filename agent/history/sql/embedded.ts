import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { lockFolder } from '../../lib/folder-lock.ts';

export interface EmbeddedPostgres {
  /** For the same `pg` client as any other Postgres. */
  url: string;
  stop(): Promise<void>;
}

const STOP_MS = 5_000;

/**
 * PGlite (Postgres in WebAssembly) with its data in `dir`, behind a Unix socket in a private folder: it knows no
 * password, so it must not be on a port where any user of the machine could reach it. Two processes on the same data
 * would spoil it: the second is refused. About three seconds to start.
 */
export async function startEmbeddedPostgres(dir: string): Promise<EmbeddedPostgres> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const release = await lockFolder(dir);
  // A short path of its own: the kernel refuses socket paths over 107 bytes, and state folders can lie deep.
  const folder = mkdtempSync(join(tmpdir(), 'acgs-pglite-'));
  const worker = new Worker(workerFile(), { workerData: { dir, folder } });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  try {
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error(`the embedded database in ${dir} did not start`)));
    });
  } catch (error) {
    release();
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    url: `postgresql://postgres@/postgres?host=${encodeURIComponent(folder)}`,
    async stop() {
      worker.postMessage('stop');
      const late = setTimeout(() => void worker.terminate(), STOP_MS);
      await ended;
      clearTimeout(late);
      rmSync(folder, { recursive: true, force: true });
      release();
    },
  };
}

/** In a checkout the source; beside the bundle what it was built to. */
function workerFile(): URL {
  const source = new URL('./embedded-worker.ts', import.meta.url);
  return existsSync(source) ? source : new URL('./embedded-worker.mjs', import.meta.url);
}
