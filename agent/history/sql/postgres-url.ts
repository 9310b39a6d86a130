import type { ConnectionOptions } from 'node:tls';
import { readStoreTlsFiles } from '../../lib/store-tls.ts';
import { parseStoreUrl, type StoreHost, StoreUrlError } from '../../lib/store-url.ts';

/** One way to one server. */
export interface PostgresTarget extends StoreHost {
  ssl: false | ConnectionOptions;
  /** Tried only when the target before it refused for want (`plain`) or for excess (`tls`) of encryption. */
  fallback?: 'plain' | 'tls';
}

export interface PostgresUrl {
  /** In the order they are tried. */
  targets: [PostgresTarget, ...PostgresTarget[]];
  /** Only a server that takes writes will do. */
  readWrite: boolean;
  user?: string;
  password?: string;
  database?: string;
  /** Settings of the session, `-c name=value`. */
  options?: string;
  /** How long one server is waited for; absent when the URL does not say. */
  connectTimeoutMs?: number;
  /** For libpq's tools: what the URL says, by the names of their environment. */
  environment: Record<string, string>;
}

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
type SslMode = (typeof MODES)[number];
const ATTRIBUTES = ['any', 'read-write', 'primary'];
const TLS = { ca: 'sslrootcert', cert: 'sslcert', key: 'sslkey' } as const;
/** What libpq knows and what needs nothing done here. */
const WITHOUT_EFFECT = ['gssencmode', 'keepalives', 'keepalives_idle', 'sslsni'];
const PARAMETERS = [
  ...['host', 'port', 'user', 'password', 'dbname', 'options', 'application_name', 'target_session_attrs'],
  ...['connect_timeout', 'sslmode', ...Object.values(TLS), 'channel_binding', 'uselibpqcompat'],
  ...WITHOUT_EFFECT,
];

/**
 * Reads DATABASE_URL as libpq does: several hosts in order, `target_session_attrs`, `sslmode` with its files. The client
 * library's own reading knows one host, and takes `require` for `verify-full`.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 * Two things are other than there: with several hosts `read-write` is the default, since history is written; and without
 * `sslrootcert` the authorities this host trusts count, as with `sslrootcert=system`. Throws StoreUrlError.
 */
export function parsePostgresUrl(url: string, defaultMode = process.env.PGSSLMODE): PostgresUrl {
  const { scheme, username, password, hosts, path, query } = parseStoreUrl('DATABASE_URL', url, {
    ...{ port: 5432, parameters: PARAMETERS },
    example: 'postgresql://user:password@host[:port][,host[:port]…]/database',
  });
  if (scheme !== 'postgres' && scheme !== 'postgresql') {
    throw new StoreUrlError('DATABASE_URL: expected a URL that starts with postgres:// or postgresql://');
  }
  const mode = readMode(query, defaultMode);
  const attributes = query.get('target_session_attrs');
  if (attributes !== null && !ATTRIBUTES.includes(attributes)) {
    throw new StoreUrlError(`DATABASE_URL: target_session_attrs is one of ${ATTRIBUTES.join(' ')}`);
  }
  const connectTimeout = readWhole(query, 'connect_timeout');
  const files = readStoreTlsFiles('DATABASE_URL', query, TLS);
  const servers = withQuery(hosts, query);
  const [first, ...rest] = servers.flatMap((server) => ways(server, mode, files));
  if (!first) throw new StoreUrlError('DATABASE_URL: names no host');
  const readWrite = attributes === null ? servers.length > 1 : attributes !== 'any';
  const given = {
    user: query.get('user') ?? username,
    password: query.get('password') ?? password,
    database: query.get('dbname') ?? (path[0] || undefined),
    options: query.get('options') ?? undefined,
  };
  return {
    ...{ targets: [first, ...rest], readWrite },
    ...(given.user && { user: given.user }),
    ...(given.password && { password: given.password }),
    ...(given.database && { database: given.database }),
    ...(given.options && { options: given.options }),
    ...(connectTimeout > 0 && { connectTimeoutMs: connectTimeout * 1000 }),
    environment: {
      PGHOST: servers.map(({ host }) => host).join(','),
      PGPORT: servers.map(({ port }) => port).join(','),
      ...(given.user && { PGUSER: given.user }),
      ...(given.password && { PGPASSWORD: given.password }),
      ...(given.database && { PGDATABASE: given.database }),
      ...(given.options && { PGOPTIONS: given.options }),
      ...(connectTimeout > 0 && { PGCONNECT_TIMEOUT: String(connectTimeout) }),
      PGSSLMODE: mode,
      ...(readWrite && { PGTARGETSESSIONATTRS: 'read-write' }),
      ...named(query, 'PGSSLROOTCERT', TLS.ca),
      ...named(query, 'PGSSLCERT', TLS.cert),
      ...named(query, 'PGSSLKEY', TLS.key),
    },
  };
}

function named(query: URLSearchParams, variable: string, parameter: string): Record<string, string> {
  const value = query.get(parameter);
  return value === null ? {} : { [variable]: value };
}

/** 0, as if it were not there, when it is not. */
function readWhole(query: URLSearchParams, parameter: string): number {
  const text = query.get(parameter) ?? '0';
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new StoreUrlError(`DATABASE_URL: ${parameter} is a whole number`);
}

function readMode(query: URLSearchParams, defaultMode: string | undefined): SslMode {
  const root = query.get(TLS.ca);
  const text = query.get('sslmode') ?? (root === null ? defaultMode || 'prefer' : 'verify-full');
  const mode = MODES.find((known) => known === text);
  if (!mode) {
    throw new StoreUrlError(
      `DATABASE_URL: sslmode is one of ${MODES.join(' ')}, not ${JSON.stringify(text)}`,
    );
  }
  if (root === 'system' && mode !== 'verify-full') {
    throw new StoreUrlError('DATABASE_URL: sslrootcert=system wants sslmode=verify-full');
  }
  return mode;
}

/** `?host=a,b&port=1,2` stands before what the URL itself names; a folder there is that of a Unix socket. */
function withQuery(hosts: StoreHost[], query: URLSearchParams): StoreHost[] {
  const names = query.get('host')?.split(',') ?? hosts.map(({ host }) => host);
  const ports = query.get('port')?.split(',').map(Number);
  if (names.length === 0) names.push('localhost');
  return names.map((host, index) => {
    const port = ports ? (ports[index] ?? ports[0]) : hosts[index]?.port;
    if (port !== undefined && !(port >= 1 && port <= 65_535)) {
      throw new StoreUrlError('DATABASE_URL: port is a number from 1 to 65535');
    }
    return { host, port: port ?? 5432 };
  });
}

/** What a mode tries at one server. */
function ways(server: StoreHost, mode: SslMode, files: ConnectionOptions): PostgresTarget[] {
  // There is no TLS on a Unix socket.
  if (mode === 'disable' || server.host.startsWith('/')) return [{ ...server, ssl: false }];
  const unverified = { ...files, rejectUnauthorized: false };
  // Against any name: the authority alone decides.
  const byAuthority = { ...files, checkServerIdentity: () => undefined };
  switch (mode) {
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
      // The authorities that all the world trusts give anybody a certificate: then the name counts too.
      return [{ ...server, ssl: files.ca ? byAuthority : files }];
    case 'verify-full':
      return [{ ...server, ssl: files }];
  }
}
