import { createReadStream } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Database } from '../sql/database.ts';
import { migrate } from '../sql/migrate.ts';
import type { Manifest } from './backup.ts';
import { DUMP_MARK } from './dump.ts';
import { connectionEnvironment, runTool, type ToolError } from './postgres-tools.ts';

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
): Promise<{ manifest: Manifest; written: string[] }> {
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

async function readManifest(archive: string, work: string): Promise<Manifest> {
  const text = await readFile(join(work, 'manifest.json'), 'utf8').catch(() => '{}');
  const parsed = manifestShape.safeParse(JSON.parse(text));
  if (!parsed.success) throw new RestoreError(`${archive} has no manifest of acgs-lb backup`);
  for (const { name, path } of parsed.data.files) {
    const tidy = normalize(name);
    if (tidy !== name || tidy.startsWith('/') || tidy.startsWith('..') || normalize(path) !== path) {
      throw new RestoreError(`${archive} names a file outside of itself: ${name}`);
    }
  }
  return parsed.data;
}

async function asyncFilter<T>(list: readonly T[], keep: (one: T) => Promise<boolean>): Promise<T[]> {
  const kept = await Promise.all(list.map(keep));
  return list.filter((_, index) => kept[index]);
}

/**
 * Replays a database backup into an empty database: one of pg_dump by psql, one of our own over the connection, after the
 * migrations. A database that holds anything of ours is left alone.
 */
export async function restoreDatabase(
  file: string,
  { database, url }: { database: Database; url: string },
): Promise<{ by: 'psql' | 'acgs-lb'; statements?: number }> {
  const { rows } = await database.query<{ holds: boolean }>(
    "SELECT to_regclass('load_balancing_metrics') IS NOT NULL AND EXISTS (SELECT FROM pg_class WHERE relname = 'metrics_hourly') AS holds",
  );
  const ours = await isOurs(file);
  if (rows[0]?.holds && (!ours || (await holdsRows(database)))) {
    throw new RestoreError(
      'the database is not empty: restore into a new one (createdb, or another --state-dir)',
    );
  }
  if (!ours) {
    await runTool(
      'psql',
      ['-q', '-X', '-v', 'ON_ERROR_STOP=1', '--single-transaction', '-o', '/dev/null', '-f', file],
      connectionEnvironment(url),
    ).catch((cause: ToolError) => {
      throw new RestoreError(cause.message, { cause });
    });
    return { by: 'psql' };
  }
  await migrate(url);
  return { by: 'acgs-lb', statements: await replay(file, database) };
}

async function isOurs(file: string): Promise<boolean> {
  for await (const line of createInterface({ input: createReadStream(file) }))
    return line.startsWith(DUMP_MARK);
  throw new RestoreError(`${file} is empty`);
}

async function holdsRows(database: Database): Promise<boolean> {
  for (const table of ['load_balancing_metrics', 'metrics_hourly', 'governance_sessions', 'state_events']) {
    const found = await database.query(`SELECT 1 FROM ${table} LIMIT 1`);
    if ((found.rowCount ?? 0) > 0) return true;
  }
  return false;
}

/** A statement a line, all in one transaction: our own BEGIN and COMMIT stand in for the file's. */
async function replay(file: string, database: Database): Promise<number> {
  let statements = 0;
  await database.transaction(async (client) => {
    for await (const line of createInterface({
      input: createReadStream(file),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      if (line === '' || line.startsWith('--') || line === 'BEGIN;' || line === 'COMMIT;') continue;
      await client.query(line);
      statements += 1;
    }
  });
  return statements;
}
