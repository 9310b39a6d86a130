import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGate } from './gate.ts';

export interface EmbeddedPostgres {
  /** For the same `pg` client as any other Postgres. */
  url: string;
  stop(): Promise<void>;
}

const MAX_CONNECTIONS = 32;

/**
 * PGlite (Postgres in WebAssembly) with its data in `dir`, behind a Unix socket in a private folder: it knows no
 * password, so it must not be on a port where any user of the machine could reach it. About three seconds to start.
 */
export async function startEmbeddedPostgres(dir: string): Promise<EmbeddedPostgres> {
  const { PGlite } = await import('@electric-sql/pglite');
  const { PGLiteSocketServer } = await import('@electric-sql/pglite-socket');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  // A short path of its own: the kernel refuses socket paths over 107 bytes, and state folders can lie deep.
  const folder = mkdtempSync(join(tmpdir(), 'acgs-pglite-'));
  try {
    const database = await PGlite.create(dir);
    const inner = join(folder, 'db');
    const server = new PGLiteSocketServer({ db: database, path: inner, maxConnections: MAX_CONNECTIONS });
    await server.start();
    const gate = await createGate(join(folder, '.s.PGSQL.5432'), inner);
    return {
      url: `postgresql://postgres@/postgres?host=${encodeURIComponent(folder)}`,
      async stop() {
        gate.close();
        await server.stop();
        await database.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
