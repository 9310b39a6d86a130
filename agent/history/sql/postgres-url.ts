import type { ConnectionOptions } from 'node:tls';
import { readStoreTlsFiles } from '../../lib/store-tls.ts';
import { parseStoreUrl, type StoreHost, StoreUrlError } from '../../lib/store-url.ts';

/** One attempt to connect to one server. */
export interface PostgresTarget extends StoreHost {
  ssl: false | ConnectionOptions;
  /** Tried only when the target before it failed because of TLS: `tls`: it requires TLS; `plain`: it has no TLS. */
  fallback?: 'plain' | 'tls';
}

export interface PostgresUrl {
  /** In the order they are tried. */
  targets: [PostgresTarget, ...PostgresTarget[]];
  /** Accept only a server that accepts writes. */
  readWrite: boolean;
  user?: string;
  password?: string;
  database?: string;
  /** Session settings, `-c name=value`. */
  options?: string;
  /** Timeout of one connection attempt; absent when the URL has none. */
  connectTimeoutMs?: number;
  /** The same settings as environment variables of libpq, for psql and pg_dump. */
  environment: Record<string, string>;
}

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
type SslMode = (typeof MODES)[number];
const ATTRIBUTES = ['any', 'read-write', 'primary'];
const TLS = { ca: 'sslrootcert', cert: 'sslcert', key: 'sslkey' } as const;
/** Parameters of libpq that are accepted and ignored. */
const IGNORED_PARAMETERS = ['gssencmode', 'keepalives', 'keepalives_idle', 'sslsni'];
const PARAMETERS = [
  ...['host', 'port', 'user', 'password', 'dbname', 'options', 'application_name', 'target_session_attrs'],
  ...['connect_timeout', 'sslmode', ...Object.values(TLS), 'channel_binding', 'uselibpqcompat'],
  ...IGNORED_PARAMETERS,
];

/**
 * Parses DATABASE_URL as libpq does: several hosts in order, `target_session_attrs`, `sslmode` and its files. (The `pg`
 * driver supports one host only, and treats `require` as `verify-full`.) Throws StoreUrlError.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 *
 * Two differences from libpq: with several hosts the default is `read-write`, because history is written; without
 * `sslrootcert` the certificate authorities of this machine are trusted, as with `sslrootcert=system`.
 */
export function parsePostgresUrl(url: string, defaultMode = process.env.PGSSLMODE): PostgresUrl {
  const { scheme, username, password, hosts, path, query } = parseStoreUrl('DATABASE_URL', url, {
    port: 5432,
    parameters: PARAMETERS,
    example: 'postgresql://user:password@host[:port][,host[:port]…]/database',
  });
  if (scheme !== 'postgres' && scheme !== 'postgresql') {
    throw new StoreUrlError('DATABASE_URL: expected a URL that starts with postgres:// or postgresql://');
  }
  const mode = readMode(query, defaultMode);
  const servers = withQueryHosts(hosts, query);
  const connectTimeout = readWholeNumber(query, 'connect_timeout');
  const login = presentOnly({
    user: query.get('user') ?? username,
    password: query.get('password') ?? password,
    database: query.get('dbname') ?? path[0],
    options: query.get('options'),
  });
  const readWrite = readReadWrite(query, servers.length > 1);
  return {
    targets: readTargets(servers, mode, query),
    readWrite,
    ...login,
    ...(connectTimeout > 0 && { connectTimeoutMs: connectTimeout * 1000 }),
    environment: presentOnly({
      PGHOST: servers.map(({ host }) => host).join(','),
      PGPORT: servers.map(({ port }) => port).join(','),
      PGUSER: login.user,
      PGPASSWORD: login.password,
      PGDATABASE: login.database,
      PGOPTIONS: login.options,
      PGCONNECT_TIMEOUT: connectTimeout > 0 ? String(connectTimeout) : null,
      PGSSLMODE: mode,
      PGTARGETSESSIONATTRS: readWrite ? 'read-write' : null,
      PGSSLROOTCERT: query.get(TLS.ca),
      PGSSLCERT: query.get(TLS.cert),
      PGSSLKEY: query.get(TLS.key),
    }),
  };
}

/** Without missing and empty values. */
function presentOnly<K extends string>(
  values: Readonly<Record<K, string | null | undefined>>,
): Partial<Record<K, string>> {
  const present: Partial<Record<K, string>> = {};
  for (const key of Object.keys(values) as K[]) {
    const value = values[key];
    if (value) present[key] = value;
  }
  return present;
}

function readTargets(
  servers: readonly StoreHost[],
  mode: SslMode,
  query: URLSearchParams,
): PostgresUrl['targets'] {
  const files = readStoreTlsFiles('DATABASE_URL', query, TLS);
  const [first, ...rest] = servers.flatMap((server) => connectionAttempts(server, mode, files));
  if (!first) throw new StoreUrlError('DATABASE_URL: the URL names no host');
  return [first, ...rest];
}

function readReadWrite(query: URLSearchParams, severalHosts: boolean): boolean {
  const attributes = query.get('target_session_attrs');
  if (attributes === null) return severalHosts;
  if (ATTRIBUTES.includes(attributes)) return attributes !== 'any';
  throw new StoreUrlError(`DATABASE_URL: target_session_attrs must be one of ${ATTRIBUTES.join(' ')}`);
}

/** 0 when the parameter is missing. */
function readWholeNumber(query: URLSearchParams, parameter: string): number {
  const text = query.get(parameter) ?? '0';
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new StoreUrlError(`DATABASE_URL: ${parameter} must be a whole number`);
}

function readMode(query: URLSearchParams, defaultMode: string | undefined): SslMode {
  const root = query.get(TLS.ca);
  const text = query.get('sslmode') ?? (root === null ? defaultMode || 'prefer' : 'verify-full');
  const mode = MODES.find((known) => known === text);
  if (!mode) {
    throw new StoreUrlError(
      `DATABASE_URL: sslmode must be one of ${MODES.join(' ')}, not ${JSON.stringify(text)}`,
    );
  }
  if (root === 'system' && mode !== 'verify-full') {
    throw new StoreUrlError('DATABASE_URL: sslrootcert=system requires sslmode=verify-full');
  }
  return mode;
}

/** `?host=a,b&port=1,2` overrides the hosts of the URL. A host that is a path is the folder of a Unix socket. */
function withQueryHosts(hosts: StoreHost[], query: URLSearchParams): StoreHost[] {
  const names = query.get('host')?.split(',') ?? hosts.map(({ host }) => host);
  const ports = query.get('port')?.split(',').map(Number);
  if (names.length === 0) names.push('localhost');
  return names.map((host, index) => {
    const port = ports ? (ports[index] ?? ports[0]) : hosts[index]?.port;
    if (port !== undefined && !(port >= 1 && port <= 65_535)) {
      throw new StoreUrlError('DATABASE_URL: port must be a number from 1 to 65535');
    }
    return { host, port: port ?? 5432 };
  });
}

/** The attempts that a mode makes at one server. */
function connectionAttempts(server: StoreHost, mode: SslMode, files: ConnectionOptions): PostgresTarget[] {
  // A Unix socket has no TLS.
  if (server.host.startsWith('/')) return [{ ...server, ssl: false }];
  const unverified = { ...files, rejectUnauthorized: false };
  // Verifies the certificate authority only, not the host name.
  const byAuthority = { ...files, checkServerIdentity: () => undefined };
  switch (mode) {
    case 'disable':
      return [{ ...server, ssl: false }];
    case 'allow':
      return [
        { ...server, ssl: false },
        { ...server, ssl: unverified, fallback: 'tls' },
      ];
    case 'prefer':
      return [
        { ...server, ssl: unverified },
        { ...server, ssl: false, fallback: 'plain' },
      ];
    case 'require':
      return [{ ...server, ssl: files.ca ? byAuthority : unverified }];
    case 'verify-ca':
      // Public authorities issue certificates to anyone, so the host name must match as well.
      return [{ ...server, ssl: files.ca ? byAuthority : files }];
    case 'verify-full':
      return [{ ...server, ssl: files }];
  }
}
