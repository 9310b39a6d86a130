import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import { createConnectionSerializer } from './connection-serializer.ts';

/** The thread of the embedded database: a long query must not delay a probe. Posts `ready`; any message stops it. */
const MAX_CONNECTIONS = 32;
const { dir, folder } = workerData as { dir: string; folder: string };

const database = await PGlite.create(dir);
const databaseSocket = join(folder, 'db');
const server = new PGLiteSocketServer({
  db: database,
  path: databaseSocket,
  maxConnections: MAX_CONNECTIONS,
});
await server.start();
const serializer = await createConnectionSerializer(join(folder, '.s.PGSQL.5432'), databaseSocket);

parentPort?.once('message', async () => {
  serializer.close();
  await server.stop();
  await database.close();
  process.exit(0);
});
parentPort?.postMessage('ready');
