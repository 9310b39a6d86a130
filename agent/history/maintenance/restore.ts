import { createReadStream } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Database, isEmbedded } from '../sql/database.ts';
import { migrate } from '../sql/migrate.ts';
import type { BackupManifest } from './backup.ts';
import { DUMP_HEADER } from './dump.ts';
import { libpqEnvironment, runTool, type ToolError } from './postgres-tools.ts';

/** The backup cannot be restored; the message contains the reason and a remedy. */
export class RestoreError extends Error {
  override name = 'RestoreError';
}

const manifestSchema = z.object({
  version: z.literal(1),
  site: z.string(),
  createdAt: z.string(),
  files: z.array(
    z.object({ name: z.string(), path: z.string().startsWith('/'), mode: z.int().min(0).max(0o777) }),
  ),
});

/**
 * Writes the files of a configuration archive to their original paths, below `root`. Everything is checked before the first
 * file is written. Throws RestoreError when a file exists and `overwrite` is false.
 */
export async function restoreConfig(
  archive: string,
  { root = '/', overwrite = false }: { root?: string; overwrite?: boolean } = {},
): Promise<{ manifest: BackupManifest; written: string[] }> {
  const work = await mkdtemp(join(tmpdir(), 'acgs-restore-'));
  try {
    await runTool('tar', ['-xzf', archive, '-C', work, '--no-same-owner', '--no-same-permissions']).catch(
      (cause) => {
        throw new RestoreError(
          `${archive} is not an archive of acgs-lb backup: ${(cause as Error).message}`,
          {
            cause,
          },
        );
      },
    );
    const manifest = await readManifest(archive, work);
    const moves = manifest.files.map(({ name, path, mode }) => ({
      from: join(work, name),
      to: join(root, path),
      mode,
    }));
    const existing = overwrite
      ? []
      : await asyncFilter(moves, async ({ to }) => (await stat(to).catch(() => null)) !== null);
    if (existing.length > 0) {
      throw new RestoreError(
        `files exist: ${existing.map(({ to }) => to).join(', ')}; replace them with --overwrite`,
      );
    }
    for (const { from, to, mode } of moves) {
      await mkdir(dirname(to), { recursive: true });
      await cp(from, to, { recursive: true });
      await chmod(to, mode);
    }
    return { manifest, written: moves.map(({ to }) => to) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function readManifest(archive: string, work: string): Promise<BackupManifest> {
  const text = await readFile(join(work, 'manifest.json'), 'utf8').catch(() => '{}');
  const parsed = manifestSchema.safeParse(parseJson(text));
  if (!parsed.success) throw new RestoreError(`${archive} has no manifest of acgs-lb backup`);
  for (const { name, path } of parsed.data.files) {
    const normalized = normalize(name);
    if (
      normalized !== name ||
      normalized.startsWith('/') ||
      normalized.startsWith('..') ||
      normalize(path) !== path
    ) {
      throw new RestoreError(`${archive} names a file outside the archive: ${name}`);
    }
  }
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function asyncFilter<T>(list: readonly T[], keep: (one: T) => Promise<boolean>): Promise<T[]> {
  const kept = await Promise.all(list.map(keep));
  return list.filter((_, index) => kept[index]);
}

/** Tables of the newest schema. Restoring must not touch other tables. */
export const SCHEMA_TABLES = [
  'acgs_lb_migrations',
  'adopted_tables',
  'alert_silences',
  'alerts',
  'audit_log',
  'breaker_events',
  'dirty_days',
  'dirty_hours',
  'governance_sessions',
  'latency_minutes',
  'load_balancing_metrics',
  'metrics_daily',
  'metrics_hourly',
  'request_minutes',
  'request_traces',
  'service_health_history',
  'spool_batches',
  'state_events',
  'upkeep_state',
];

/** Functions of the newest schema. Functions of others may begin with `acgs_` as well. */
export const SCHEMA_FUNCTIONS = [
  ...['acgs_ensure_day(text,double precision)', 'acgs_ensure_days(double precision,double precision)'],
  ...['acgs_mark_dirty()', 'acgs_short_service(text)'],
  ...['acgs_make_sketch(numeric,double precision,double precision,text)', 'acgs_merge_sketches(jsonb[])'],
  ...['acgs_sketch_quantile(jsonb,double precision,double precision)', 'acgs_sketch_text(jsonb)'],
];

/**
 * Drops the empty schema that `migrate` created, because a dump of pg_dump contains the schema. Checks again that the
 * tables are empty, now under a lock: rows may have been written since the first check.
 */
const DROP_SCHEMA = `DO $$
DECLARE
  item text;
  held boolean;
BEGIN
  FOREACH item IN ARRAY ARRAY['${SCHEMA_TABLES.join("', '")}'] LOOP
    CONTINUE WHEN to_regclass(item) IS NULL;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', item);
    CONTINUE WHEN item = 'acgs_lb_migrations';
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', item) INTO held;
    IF held THEN RAISE EXCEPTION 'rows were written to % during the restore: stop the agent first', item; END IF;
  END LOOP;
  DROP TABLE IF EXISTS ${SCHEMA_TABLES.join(', ')};
  DROP FUNCTION IF EXISTS ${SCHEMA_FUNCTIONS.join(', ')};
END $$`;

/**
 * Restores a database backup: a dump of pg_dump with psql, our own dump over the connection after the migrations. Throws
 * RestoreError when one of our tables holds a row.
 */
export async function restoreDatabase(
  file: string,
  options: {
    database: Database;
    url: string;
    onBytes?: (done: number, total: number) => void;
    disconnectTimeoutMs?: number;
  },
): Promise<{ by: 'psql' | 'acgs-lb'; statements?: number }> {
  const { database, url, onBytes, disconnectTimeoutMs = DISCONNECT_TIMEOUT_MS } = options;
  const own = await isOwnDump(file);
  await requireComplete(file, own);
  if (!own && isEmbedded(url)) {
    throw new RestoreError(
      `${file} is a dump of pg_dump, which the embedded database cannot restore: set DATABASE_URL to a Postgres server`,
    );
  }
  await requireNoOtherClient(database, disconnectTimeoutMs);
  const tableInUse = await tableWithRows(database);
  if (tableInUse) {
    throw new RestoreError(
      `the database is not empty (${tableInUse} holds rows): restore into a new database (createdb, or another --state-dir)`,
    );
  }
  if (!own) {
    await runTool(
      'psql',
      [
        ...['-q', '-X', '-v', 'ON_ERROR_STOP=1', '--single-transaction', '-o', '/dev/null'],
        ...['-c', 'SET client_min_messages = warning', '-c', DROP_SCHEMA, '-f', file],
      ],
      libpqEnvironment(url),
    ).catch((cause: ToolError) => {
      throw new RestoreError(cause.message, { cause });
    });
    return { by: 'psql' };
  }
  await migrate(url, database.site);
  return { by: 'acgs-lb', statements: await replay(file, database, onBytes) };
}

/** The server may list a connection for a moment after it was closed. */
const DISCONNECT_TIMEOUT_MS = 5_000;
const DISCONNECT_POLL_MS = 200;

/** Throws RestoreError while an agent or another of our commands is connected: its rows would mix with those of the backup. */
async function requireNoOtherClient(database: Database, disconnectTimeoutMs: number): Promise<void> {
  for (let left = disconnectTimeoutMs; ; left -= DISCONNECT_POLL_MS) {
    const { rows } = await database.query<{ at: string }>(
      `SELECT coalesce(host(client_addr), 'this machine') AS at FROM pg_stat_activity
       WHERE application_name = 'acgs-lb' AND datname = current_database() AND pid <> pg_backend_pid() LIMIT 1`,
    );
    if (!rows[0]) return;
    if (left <= 0) {
      throw new RestoreError(
        `an agent or another acgs-lb command on ${rows[0].at} is connected to this database: stop it, then restore`,
      );
    }
    await sleep(DISCONNECT_POLL_MS);
  }
}

async function isOwnDump(file: string): Promise<boolean> {
  for await (const line of createInterface({ input: createReadStream(file) }))
    return line.startsWith(DUMP_HEADER);
  throw new RestoreError(`${file} is empty`);
}

const TAIL_BYTES = 1_000;

/** Throws RestoreError for a truncated dump: one that ends between two statements would restore without an error. */
async function requireComplete(file: string, own: boolean): Promise<void> {
  const { size } = await stat(file);
  let tail = '';
  for await (const part of createReadStream(file, { start: Math.max(0, size - TAIL_BYTES) })) tail += part;
  if (own ? tail.endsWith('\nCOMMIT;\n') : tail.includes('\n-- PostgreSQL database dump complete')) return;
  throw new RestoreError(`${file} is truncated, or not a dump of pg_dump or acgs-lb backup`);
}

async function tableWithRows(database: Database): Promise<string | null> {
  for (const table of SCHEMA_TABLES.filter((name) => name !== 'acgs_lb_migrations')) {
    const { rows } = await database.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      table,
    ]);
    if (rows[0]?.there && (await database.query(`SELECT 1 FROM ${table} LIMIT 1`)).rowCount) return table;
  }
  return null;
}

/** Runs one statement per line in one transaction, instead of the file's own BEGIN and COMMIT. */
async function replay(
  file: string,
  database: Database,
  onBytes: (done: number, total: number) => void = () => {},
): Promise<number> {
  let statements = 0;
  const { size } = await stat(file);
  await database.transaction(async (client) => {
    const source = createReadStream(file);
    for await (const line of createInterface({
      input: source,
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      onBytes(source.bytesRead, size);
      if (line === '' || line.startsWith('--') || line === 'BEGIN;' || line === 'COMMIT;') continue;
      await client.query(line);
      statements += 1;
    }
  });
  return statements;
}
