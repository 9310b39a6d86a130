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

/** The backup cannot be used here; the message says why and what to do. */
export class RestoreError extends Error {
  override name = 'RestoreError';
}

const manifestShape = z.object({
  version: z.literal(1),
  site: z.string(),
  createdAt: z.string(),
  files: z.array(
    z.object({ name: z.string(), path: z.string().startsWith('/'), mode: z.int().min(0).max(0o777) }),
  ),
});

/**
 * Puts the files of a configuration archive back where they were, or below `root`. Nothing is overwritten unless
 * `overwrite`; all is checked before the first file is written.
 */
export async function restoreConfig(
  archive: string,
  { root = '/', overwrite = false }: { root?: string; overwrite?: boolean } = {},
): Promise<{ manifest: BackupManifest; written: string[] }> {
  const work = await mkdtemp(join(tmpdir(), 'acgs-restore-'));
  try {
    await runTool('tar', ['-xzf', archive, '-C', work, '--no-same-owner', '--no-same-permissions']).catch(
      (cause) => {
        throw new RestoreError(`${archive} is no archive of acgs-lb backup: ${(cause as Error).message}`, {
          cause,
        });
      },
    );
    const manifest = await readManifest(archive, work);
    const moves = manifest.files.map(({ name, path, mode }) => ({
      from: join(work, name),
      to: join(root, path),
      mode,
    }));
    const taken = overwrite
      ? []
      : await asyncFilter(moves, async ({ to }) => (await stat(to).catch(() => null)) !== null);
    if (taken.length > 0) {
      throw new RestoreError(
        `there already: ${taken.map(({ to }) => to).join(', ')}; --overwrite replaces them`,
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
  const parsed = manifestShape.safeParse(parsedJson(text));
  if (!parsed.success) throw new RestoreError(`${archive} has no manifest of acgs-lb backup`);
  for (const { name, path } of parsed.data.files) {
    const tidy = normalize(name);
    if (tidy !== name || tidy.startsWith('/') || tidy.startsWith('..') || normalize(path) !== path) {
      throw new RestoreError(`${archive} names a file outside of itself: ${name}`);
    }
  }
  return parsed.data;
}

function parsedJson(text: string): unknown {
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

/** Of the newest schema; what else a database holds is not ours to judge or to drop. */
export const SCHEMA_TABLES = [
  ...['acgs_lb_migrations', 'adopted_tables', 'alert_silences', 'alerts', 'audit_log', 'breaker_events'],
  ...['dirty_days', 'dirty_hours', 'governance_sessions', 'latency_minutes', 'load_balancing_metrics'],
  ...[
    'metrics_daily',
    'metrics_hourly',
    'service_health_history',
    'spool_batches',
    'state_events',
    'upkeep_state',
  ],
];

/** What the schema calls: others' functions may begin with acgs_ too. */
export const SCHEMA_FUNCTIONS = [
  ...['acgs_ensure_day(text,double precision)', 'acgs_ensure_days(double precision,double precision)'],
  ...['acgs_mark_dirty()', 'acgs_short_service(text)'],
];

/**
 * A dump of pg_dump brings its schema along: one that `migrate` made makes way for it. Rows that came since they were
 * looked for would go with it, so they are looked for once more when nobody can write any.
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
    IF held THEN RAISE EXCEPTION 'rows came into % meanwhile: stop the agent first', item; END IF;
  END LOOP;
  DROP TABLE IF EXISTS ${SCHEMA_TABLES.join(', ')};
  DROP FUNCTION IF EXISTS ${SCHEMA_FUNCTIONS.join(', ')};
END $$`;

/**
 * Replays a database backup: one of pg_dump by psql, one of our own over the connection, after the migrations. A
 * database whose tables of ours hold any row is left alone.
 */
export async function restoreDatabase(
  file: string,
  options: {
    database: Database;
    url: string;
    onBytes?: (done: number, total: number) => void;
    patienceMs?: number;
  },
): Promise<{ by: 'psql' | 'acgs-lb'; statements?: number }> {
  const { database, url, onBytes, patienceMs = PATIENCE_MS } = options;
  const ours = await isOurs(file);
  await requireWhole(file, ours);
  if (!ours && isEmbedded(url)) {
    throw new RestoreError(
      `${file} is by pg_dump, which the embedded database cannot read: set DATABASE_URL to a Postgres`,
    );
  }
  await requireAlone(database, patienceMs);
  const full = await tableWithRows(database);
  if (full) {
    throw new RestoreError(
      `the database is not empty (${full} holds rows): restore into a new one (createdb, or another --state-dir)`,
    );
  }
  if (!ours) {
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
  await migrate(url);
  return { by: 'acgs-lb', statements: await replay(file, database, onBytes) };
}

/** A connection that was just closed is seen by the server for a moment longer. */
const PATIENCE_MS = 5_000;
const LOOK_MS = 200;

/** Throws when an agent, or another of our commands, is connected to the database: what it writes would mix with the backup's rows. */
async function requireAlone(database: Database, patienceMs: number): Promise<void> {
  for (let left = patienceMs; ; left -= LOOK_MS) {
    const { rows } = await database.query<{ at: string }>(
      `SELECT coalesce(host(client_addr), 'this machine') AS at FROM pg_stat_activity
       WHERE application_name = 'acgs-lb' AND datname = current_database() AND pid <> pg_backend_pid() LIMIT 1`,
    );
    if (!rows[0]) return;
    if (left <= 0) {
      throw new RestoreError(
        `an agent, or another acgs-lb command, on ${rows[0].at} is connected to this database: stop it, then restore`,
      );
    }
    await sleep(LOOK_MS);
  }
}

async function isOurs(file: string): Promise<boolean> {
  for await (const line of createInterface({ input: createReadStream(file) }))
    return line.startsWith(DUMP_HEADER);
  throw new RestoreError(`${file} is empty`);
}

const TAIL_BYTES = 1_000;

/** What was cut off between two statements would go in without a word. */
async function requireWhole(file: string, ours: boolean): Promise<void> {
  const { size } = await stat(file);
  let tail = '';
  for await (const part of createReadStream(file, { start: Math.max(0, size - TAIL_BYTES) })) tail += part;
  if (ours ? tail.endsWith('\nCOMMIT;\n') : tail.includes('\n-- PostgreSQL database dump complete')) return;
  throw new RestoreError(`${file} is cut off, or neither a dump of pg_dump nor of acgs-lb backup`);
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

/** A statement a line, all in one transaction: our own BEGIN and COMMIT stand in for the file's. */
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
