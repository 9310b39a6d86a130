import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { findPostgres } from '../bootstrap/servers.mjs';
import { freePort, requireFreePort } from '../ports.ts';
import { type Child, type RunningServer, type StartOptions, startChild, waitUntilReady } from './child.ts';
import { removeFolder, startInPrivateFolder } from './folder.ts';
import { newPassword } from './password.ts';

export interface LocalPostgres extends RunningServer {
  dataDir: string;
  /** Database `acgs_lb` as its owner `acgs_lb_user`. */
  url: string;
  /** Database `postgres` as the superuser. */
  adminUrl: string;
  port: number;
}

export interface LocalPostgresOptions extends StartOptions {
  /** Default: a free port. */
  port?: number;
  /** Kept when the server stops. Default: a temporary folder that is removed with the server. */
  dataDir?: string;
  password?: string;
  /** Additional `name=value` settings. */
  settings?: readonly string[];
  /** Replaces initdb's pg_hba.conf. It must let the superuser connect without TLS. */
  access?: string;
  /** PEM files; `ca` verifies client certificates. */
  tls?: { ca: string; cert: string; key: string };
}

/** Starts a Postgres on loopback. As root it runs as the user `postgres`, because initdb and postgres refuse to run as root. */
export async function startPostgres(options: LocalPostgresOptions = {}): Promise<LocalPostgres> {
  const port = options.port ?? (await freePort());
  await requireFreePort(port, 'Postgres');
  const user = process.getuid?.() === 0 ? systemUser('postgres') : undefined;
  return startInPrivateFolder('acgs-pg', options.parent, async (folder) => {
    if (user) chownSync(folder, user.uid, user.gid);
    const dataDir = options.dataDir ?? join(folder, 'data');
    const password = passwordOf(dataDir) ?? options.password ?? newPassword();
    const child = await start({ ...options, port, dataDir, password, folder, user });
    return {
      url: `postgres://acgs_lb_user:${password}@127.0.0.1:${port}/acgs_lb`,
      adminUrl: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      port,
      dataDir,
      child,
      stop: () => child.stop(),
    };
  });
}

interface PostgresStart extends LocalPostgresOptions {
  port: number;
  dataDir: string;
  password: string;
  folder: string;
  user: { uid: number; gid: number } | undefined;
}

async function start(options: PostgresStart): Promise<Child> {
  const { port, dataDir, password, folder, user } = options;
  const bin = postgresBin();
  if (passwordOf(dataDir) === null) runInitdb(bin, options);
  const settings = [
    ...[
      'listen_addresses=127.0.0.1',
      `port=${port}`,
      `unix_socket_directories=${folder}`,
      'max_connections=100',
    ],
    // Local and test data do not need durability.
    ...['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'log_min_messages=warning'],
    ...copyAccessFiles(options),
    ...(options.settings ?? []),
  ];
  const child = await startChild({
    name: 'postgres',
    command: join(bin, 'postgres'),
    args: ['-D', dataDir, ...settings.flatMap((setting) => ['-c', setting])],
    cwd: folder,
    onSpawn: options.onSpawn,
    logFile: options.logFile ?? join(folder, 'postgres.log'),
    // Fast shutdown: disconnects clients without data loss.
    stopSignal: 'SIGINT',
    ...(user && { user }),
  });
  try {
    await waitUntilReady(child, () => createRoleAndDatabase(port, password));
  } catch (error) {
    await child.stop();
    throw error;
  }
  return child;
}

/** Copies files for the server's user: Postgres rejects a key that others can read. */
function copyAccessFiles({ access, tls, folder, user }: PostgresStart): string[] {
  const own = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (user) chownSync(path, user.uid, user.gid);
    return path;
  };
  const copy = (name: string, path: string): string => own(name, readFileSync(path, 'utf8'));
  return [
    ...(access ? [`hba_file=${own('pg_hba.conf', access)}`] : []),
    ...(tls
      ? [
          'ssl=on',
          `ssl_ca_file=${copy('ca.pem', tls.ca)}`,
          `ssl_cert_file=${copy('server.pem', tls.cert)}`,
          `ssl_key_file=${copy('server.key', tls.key)}`,
        ]
      : []),
  ];
}

function runInitdb(bin: string, { dataDir, folder, password, user }: PostgresStart): void {
  // The password file is written last. Without it, an interrupted initdb left this folder, and a new one would fail.
  removeFolder(dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  chmodSync(dataDir, 0o700);
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user) for (const path of [dataDir, passwordFile]) chownSync(path, user.uid, user.gid);
  const args = ['-D', dataDir, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  execFileSync(join(bin, 'initdb'), [...args, '-E', 'UTF8', '--locale=C', '--no-sync'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...user,
  });
  renameSync(passwordFile, join(dataDir, PASSWORD_FILE));
}

const PASSWORD_FILE = 'acgs-lb.password';

/** The password of a kept data folder, independent of other secrets. */
function passwordOf(dataDir: string): string | null {
  const file = join(dataDir, PASSWORD_FILE);
  return existsSync(file) ? readFileSync(file, 'utf8') : null;
}

/** Creates the application's role and database if missing. Returns true when the server accepts connections. */
async function createRoleAndDatabase(port: number, password: string): Promise<boolean> {
  const client = new Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' });
  try {
    await client.connect();
    const role = await client.query("SELECT 1 FROM pg_roles WHERE rolname = 'acgs_lb_user'");
    if (!role.rowCount) {
      await client.query(`CREATE ROLE acgs_lb_user LOGIN PASSWORD ${client.escapeLiteral(password)}`);
    }
    const database = await client.query("SELECT 1 FROM pg_database WHERE datname = 'acgs_lb'");
    if (!database.rowCount) await client.query('CREATE DATABASE acgs_lb OWNER acgs_lb_user');
    return true;
  } finally {
    await client.end();
  }
}

export function systemUser(name: string): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

export function postgresBin(): string {
  const folder = findPostgres();
  if (!folder) throw new Error('Postgres is not installed (no initdb found)');
  return folder;
}
