import { createWriteStream, statSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Database } from '../sql/database.ts';
import { dumpRows } from './dump.ts';
import { libpqEnvironment, runTool, toolVersion } from './postgres-tools.ts';

/** The contents of a configuration archive. `path`: the original location, to which a restore writes the file. */
export interface BackupManifest {
  version: 1;
  site: string;
  createdAt: string;
  files: { name: string; path: string; mode: number }[];
}

interface ConfigBackup {
  site: string;
  folder: string;
  now: Date;
  /** Name in the archive → path. Files that do not exist are omitted. */
  files: Record<string, string>;
}

const stamp = (now: Date): string =>
  `${now.getFullYear()}${String(now.getMonth() + 1).padStart(2, '0')}${String(now.getDate()).padStart(2, '0')}`;

/**
 * Writes `acgs-lb-config-YYYYMMDD.tar.gz` (local date, as the guide's `date +%Y%m%d`) atomically and with mode 0600: it
 * contains secrets.
 */
export async function backupConfig({
  site,
  folder,
  now,
  files,
}: ConfigBackup): Promise<{ file: string; manifest: BackupManifest }> {
  const work = await mkdtemp(join(tmpdir(), 'acgs-backup-'));
  try {
    const manifest: BackupManifest = { version: 1, site, createdAt: now.toISOString(), files: [] };
    for (const [name, path] of Object.entries(files)) {
      const stats = await stat(path).catch(() => null);
      if (!stats) continue;
      const copy = join(work, name);
      await mkdir(dirname(copy), { recursive: true, mode: 0o700 });
      if (stats.isDirectory()) await cp(path, copy, { recursive: true });
      else await copyFile(path, copy);
      manifest.files.push({ name, path, mode: stats.mode & 0o777 });
    }
    await writeFile(join(work, 'manifest.json'), JSON.stringify(manifest, null, 2));
    const file = join(folder, `acgs-lb-config-${stamp(now)}.tar.gz`);
    await writeAtomically(file, (part) =>
      runTool('tar', ['-czf', part, '-C', work, 'manifest.json', ...manifest.files.map(({ name }) => name)]),
    );
    return { file, manifest };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const SIZE_POLL_MS = 250;

/**
 * Writes `acgs_lb_backup_YYYYMMDD.sql` atomically and with mode 0600: by pg_dump when it supports the server, otherwise as
 * our own dump. `why`: the reason for our own dump.
 */
export async function backupDatabase(options: {
  database: Database;
  url: string;
  embedded: boolean;
  folder: string;
  now: Date;
  /** Progress of our own dump. */
  onRows?: (done: number, total: number) => void;
  /** Progress of pg_dump: the size of its file so far. */
  onBytes?: (done: number) => void;
}): Promise<{ file: string; by: 'pg_dump' | 'acgs-lb'; why?: string }> {
  const { database, url, embedded, folder, now, onRows, onBytes = () => {} } = options;
  const file = join(folder, `acgs_lb_backup_${stamp(now)}.sql`);
  const obstacle = embedded ? 'the database is embedded' : await pgDumpObstacle(database);
  if (!obstacle) {
    await writeAtomically(file, async (part) => {
      const reportSize = () => onBytes(statSync(part, { throwIfNoEntry: false })?.size ?? 0);
      const poll = setInterval(reportSize, SIZE_POLL_MS);
      const args = ['--no-owner', '--no-privileges', '--file', part];
      await runTool('pg_dump', args, libpqEnvironment(url)).finally(() => clearInterval(poll));
      reportSize();
    });
    return { file, by: 'pg_dump' };
  }
  await writeAtomically(file, async (part) => {
    const out = createWriteStream(part, { mode: 0o600 });
    await dumpRows(database, out, onRows);
    out.end();
    await finished(out);
  });
  return { file, by: 'acgs-lb', why: obstacle };
}

/** Why pg_dump cannot be used; null when it can. It refuses servers that are newer than itself. */
async function pgDumpObstacle(database: Database): Promise<string | null> {
  const version = await toolVersion('pg_dump');
  if (version === null) return 'pg_dump is not installed';
  const { rows } = await database.query<{ version: string }>(
    "SELECT current_setting('server_version_num') AS version",
  );
  const server = Math.floor(Number(rows[0]?.version) / 10_000);
  return version < server ? `pg_dump ${version} is older than the server (${server})` : null;
}

/** Creates a file readable only by its owner, which appears under its name when it is complete. */
async function writeAtomically(file: string, make: (part: string) => Promise<unknown>): Promise<void> {
  const folder = await mkdtemp(join(dirname(file), '.acgs-'));
  const part = join(folder, basename(file));
  try {
    await make(part);
    await chmod(part, 0o600);
    await rename(part, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
