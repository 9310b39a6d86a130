import { createWriteStream, statSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Database } from '../sql/database.ts';
import { dumpRows } from './dump.ts';
import { libpqEnvironment, runTool, toolVersion } from './postgres-tools.ts';

/** What a configuration archive holds; `path` is where it was and where restore puts it. */
export interface BackupManifest {
  version: 1;
  site: string;
  createdAt: string;
  files: { name: string; path: string; mode: number }[];
}

export interface ConfigBackup {
  site: string;
  folder: string;
  now: Date;
  /** Name in the archive → where it lies. Files that are not there are left out. */
  files: Record<string, string>;
}

const stamp = (now: Date): string =>
  `${now.getFullYear()}${String(now.getMonth() + 1).padStart(2, '0')}${String(now.getDate()).padStart(2, '0')}`;

/**
 * `acgs-lb-config-YYYYMMDD.tar.gz` (local date, as the guide's `date +%Y%m%d`), mode 0600: it holds secrets. Written
 * beside its place and moved there whole.
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
      const found = await stat(path).catch(() => null);
      if (!found) continue;
      const copy = join(work, name);
      await mkdir(dirname(copy), { recursive: true, mode: 0o700 });
      if (found.isDirectory()) await cp(path, copy, { recursive: true });
      else await copyFile(path, copy);
      manifest.files.push({ name, path, mode: found.mode & 0o777 });
    }
    await writeFile(join(work, 'manifest.json'), JSON.stringify(manifest, null, 2));
    const file = join(folder, `acgs-lb-config-${stamp(now)}.tar.gz`);
    await placed(file, (part) =>
      runTool('tar', ['-czf', part, '-C', work, 'manifest.json', ...manifest.files.map(({ name }) => name)]),
    );
    return { file, manifest };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const WATCH_MS = 250;

/** `acgs_lb_backup_YYYYMMDD.sql`, mode 0600: by pg_dump where it fits the server, else rows as SQL of our own. */
export async function backupDatabase(options: {
  database: Database;
  url: string;
  embedded: boolean;
  folder: string;
  now: Date;
  /** Told while rows are written by our own dump. */
  onRows?: (done: number, total: number) => void;
  /** Told while pg_dump writes, which itself tells nothing: the size of its file so far. */
  onBytes?: (done: number) => void;
}): Promise<{ file: string; by: 'pg_dump' | 'acgs-lb'; why?: string }> {
  const { database, url, embedded, folder, now, onRows, onBytes = () => {} } = options;
  const file = join(folder, `acgs_lb_backup_${stamp(now)}.sql`);
  const obstacle = embedded ? 'the database is embedded' : await pgDumpObstacle(database);
  if (!obstacle) {
    await placed(file, async (part) => {
      const size = () => onBytes(statSync(part, { throwIfNoEntry: false })?.size ?? 0);
      const watch = setInterval(size, WATCH_MS);
      const args = ['--no-owner', '--no-privileges', '--file', part];
      await runTool('pg_dump', args, libpqEnvironment(url)).finally(() => clearInterval(watch));
      size();
    });
    return { file, by: 'pg_dump' };
  }
  await placed(file, async (part) => {
    const out = createWriteStream(part, { mode: 0o600 });
    await dumpRows(database, out, onRows);
    out.end();
    await finished(out);
  });
  return { file, by: 'acgs-lb', why: obstacle };
}

/** pg_dump refuses servers newer than itself. */
async function pgDumpObstacle(database: Database): Promise<string | null> {
  const ours = await toolVersion('pg_dump');
  if (ours === null) return 'pg_dump is not installed';
  const { rows } = await database.query<{ version: string }>(
    "SELECT current_setting('server_version_num') AS version",
  );
  const server = Math.floor(Number(rows[0]?.version) / 10_000);
  return ours < server ? `pg_dump ${ours} is older than the server (${server})` : null;
}

/** Readable by its owner alone from its first byte, and never half there under its own name. */
async function placed(file: string, make: (part: string) => Promise<unknown>): Promise<void> {
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
