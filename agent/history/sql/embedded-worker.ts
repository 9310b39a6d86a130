import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import { createConnectionSerializer } from './connection-serializer.ts';

/** The thread the embedded database lives in: a long query must not delay a probe. Says `ready`, ends on any message. */
const MAX_CONNECTIONS = 32;
const { dir, folder } = workerData as { dir: string; folder: string };

const database = await PGlite.create(dir);
const inner = join(folder, 'db');
const server = new PGLiteSocketServer({ db: database, path: inner, maxConnections: MAX_CONNECTIONS });
await server.start();
const gate = await createConnectionSerializer(join(folder, '.s.PGSQL.5432'), inner);

parentPort?.once('message', async () => {
  gate.close();
  await server.stop();
  await database.close();
  process.exit(0);
});
parentPort?.postMessage('ready');
