import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEmbedded } from '../../../test/harness/postgres.ts';
import { createReadyForQueryReader } from './connection-serializer.ts';
import { type Database, openDatabase } from './database.ts';
import type { EmbeddedPostgres } from './embedded.ts';

const dir = mkdtempSync(join(tmpdir(), 'acgs-embedded-'));
let server: EmbeddedPostgres;
let database: Database;
beforeAll(async () => {
  server = await startEmbedded(dir);
  database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
  await database.query('CREATE TABLE kept (n integer)');
});
afterAll(async () => {
  await database?.close();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const message = (type: string, body: string): Buffer => {
  const head = Buffer.alloc(5, type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, Buffer.from(body)]);
};
const startup = message('-', '\0\x03\0\0user\0postgres\0\0').subarray(1);

/** Connects, sends `bytes` and disconnects: after the answer, or at once. */
async function disconnectAfter(bytes: Buffer, answered: boolean): Promise<void> {
  const folder = new URLSearchParams(server.url.slice(server.url.indexOf('?'))).get('host') ?? '';
  const client = connect(join(folder, '.s.PGSQL.5432'));
  client.on('error', () => {});
  const reader = createReadyForQueryReader();
  const ready = new Promise<void>((resolve) => {
    client.on('data', (part) => reader.read(part) !== null && resolve());
  });
  client.write(startup);
  await ready;
  const answer = answered ? once(client, 'data') : null;
  await new Promise<void>((resolve) => client.write(bytes, () => resolve()));
  await answer;
  client.destroy();
}

test.each([
  ['inside a transaction', message('Q', 'BEGIN; INSERT INTO kept VALUES (1)\0'), true],
  ['in the middle of a message', message('Q', `SELECT 1 ${' '.repeat(999)}\0`).subarray(0, 99), false],
  ['after a rejected statement, without a Sync', message('P', '\0SELEKT 1\0\0\0'), true],
  ['in the middle of an extended query, without a Sync', message('P', '\0SELECT 1\0\0\0'), false],
] as const)('a client that disconnects %s does not block other clients', async (_when, bytes, answered) => {
  await disconnectAfter(bytes, answered);
  expect((await database.query('SELECT n FROM kept')).rows).toEqual([]);
  expect((await database.query('SELECT $1::int AS n', [7])).rows).toEqual([{ n: 7 }]);
});
