import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { errorMessage } from '../../../shared/error-message.ts';
import { lockFolder } from '../../lib/folder-lock.ts';

export interface EmbeddedPostgres {
  /** For the `pg` client, as any other Postgres URL. */
  url: string;
  stop(): Promise<void>;
}

const STOP_TIMEOUT_MS = 5_000;

/**
 * Starts PGlite (Postgres in WebAssembly) with its data in `dir`, in about three seconds. It has no password, so it listens
 * on a Unix socket in a private folder and not on a port that other users of the machine could reach. Throws when another
 * process uses `dir`: two processes would corrupt the data.
 */
export async function startEmbeddedPostgres(dir: string): Promise<EmbeddedPostgres> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const release = await lockFolder(dir);
  // A short path: the kernel refuses socket paths longer than 107 bytes, and the state folder may be nested deeply.
  const folder = mkdtempSync(join(tmpdir(), 'acgs-pglite-'));
  // One compiler thread of WebAssembly instead of several: each keeps a hundred megabytes after the start.
  setFlagsFromString('--wasm-num-compilation-tasks=1');
  const worker = new Worker(workerFile(), { workerData: { dir, folder } });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  try {
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('its thread exited')));
    });
  } catch (error) {
    release();
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`the embedded database in ${dir} did not start: ${errorMessage(error)}`);
  }
  return {
    url: `postgresql://postgres@/postgres?host=${encodeURIComponent(folder)}`,
    async stop() {
      worker.postMessage('stop');
      const killTimer = setTimeout(() => void worker.terminate(), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(killTimer);
      rmSync(folder, { recursive: true, force: true });
      release();
    },
  };
}

/** The source file in a checkout, the built file beside the bundle. */
function workerFile(): URL {
  const source = new URL('./embedded-worker.ts', import.meta.url);
  return existsSync(source) ? source : new URL('./embedded-worker.mjs', import.meta.url);
}
