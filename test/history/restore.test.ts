import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { backupDatabase } from '../../agent/history/maintenance/backup.ts';
import { restoreDatabase, SCHEMA_FUNCTIONS } from '../../agent/history/maintenance/restore.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { startPostgres } from '../harness/postgres.ts';

/** Restoring into a database that others use: a connected agent, or functions of other programs. */

const DISCONNECT_TIMEOUT_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'acgs-restore-'));
const releases: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
afterAll(async () => {
  for (const release of releases.reverse()) await release();
});

type Open = { url: string; database: Database };
let source: Open;
let target: Open;
let dump: string;

async function fresh(): Promise<Open> {
  const server = await startPostgres();
  releases.push(() => server.stop());
  await migrate(server.url, 'main');
  const database = openDatabase(server.url, 'main', { min: 0, max: 1, idle: 1_000 });
  releases.push(() => database.close());
  return { url: server.url, database };
}
const addRow = ({ database }: Open) =>
  database.query("INSERT INTO audit_log (timestamp, actor, action, target) VALUES (1, 'a', 'b', 'c')");
const rows = async ({ database }: Open) => (await database.query('SELECT FROM audit_log')).rowCount;

beforeAll(async () => {
  source = await fresh();
  await addRow(source);
  const sizes: number[] = [];
  ({ file: dump } = await backupDatabase({
    ...source,
    embedded: false,
    folder,
    now: new Date(),
    onBytes: (size) => sizes.push(size),
  }));
  expect(sizes.at(-1)).toBeGreaterThan(0);
  target = await fresh();
});

it('lists all functions of the schema', async () => {
  const { rows: found } = await target.database.query<{ name: string }>(
    "SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
  );
  expect(found.map(({ name }) => name.replaceAll(', ', ',')).sort()).toEqual([...SCHEMA_FUNCTIONS].sort());
});

it('refuses while an agent is connected, and names its address', async () => {
  const agent = new pg.Client({ connectionString: target.url, application_name: 'acgs-lb' });
  await agent.connect();
  try {
    await expect(restoreDatabase(dump, { ...target, disconnectTimeoutMs: 0 })).rejects.toThrow(
      /an agent or another acgs-lb command on 127\.0\.0\.1 is connected to this database: stop it/,
    );
    expect(await rows(target)).toBe(0);
  } finally {
    await agent.end();
  }
});

it('does not drop rows that are written after the first check', async () => {
  // The first check reads one database, the restore writes to the other, as if rows were written in between.
  await expect(
    restoreDatabase(dump, {
      url: source.url,
      database: target.database,
      disconnectTimeoutMs: DISCONNECT_TIMEOUT_MS,
    }),
  ).rejects.toThrow('rows were written to audit_log during the restore: stop the agent first');
  expect(await rows(source)).toBe(1);
});

it('refuses to restore a dump of pg_dump into the embedded database', async () => {
  const url = 'postgresql://postgres@/postgres?host=%2Ftmp%2Facgs-pglite-x';
  await expect(restoreDatabase(dump, { url, database: target.database })).rejects.toThrow(
    /is a dump of pg_dump, which the embedded database cannot restore: set DATABASE_URL/,
  );
});

it('refuses a dump that is truncated between two statements, and a file that is not a dump', async () => {
  const text = readFileSync(dump, 'utf8');
  const cut = join(folder, 'cut.sql');
  const ours = '-- acgs-lb data 0006_alert_told_as\nBEGIN;\nDELETE FROM dirty_hours;\n';
  for (const part of [text.slice(0, text.lastIndexOf('CREATE TRIGGER')), 'SELECT 1;\n', ours]) {
    writeFileSync(cut, part);
    await expect(
      restoreDatabase(cut, { ...target, disconnectTimeoutMs: DISCONNECT_TIMEOUT_MS }),
    ).rejects.toThrow(`${cut} is truncated, or not a dump of pg_dump or acgs-lb backup`);
  }
  expect(await rows(target)).toBe(0);
});

it('keeps functions of other programs, even with our prefix', async () => {
  await target.database.query('CREATE FUNCTION acgs_of_mine() RETURNS int LANGUAGE sql AS $$ SELECT 7 $$');
  await restoreDatabase(dump, { ...target, disconnectTimeoutMs: DISCONNECT_TIMEOUT_MS });
  expect((await target.database.query('SELECT acgs_of_mine() AS seven')).rows).toEqual([{ seven: 7 }]);
  expect(await rows(target)).toBe(1);
});
