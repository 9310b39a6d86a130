import pg from 'pg';
import { errorMessage } from '../../../shared/error-message.ts';
import { type PostgresTarget, type PostgresUrl, parsePostgresUrl } from './postgres-url.ts';

/** None of several servers can be used. `reasons`: the error of each server, in order. */
export class NoServerAvailableError extends Error {
  override name = 'NoServerAvailableError';
  readonly reasons: readonly Error[];

  constructor(reasons: readonly Error[], text: string) {
    super(text);
    this.reasons = reasons;
  }
}

/** The server accepts connections but no writes. */
export class ReadOnlyServerError extends Error {
  override name = 'ReadOnlyServerError';
}

/** Default of `connect_timeout`. */
const CONNECT_TIMEOUT_MS = 3_000;
const KEEP_ALIVE_MS = 10_000;

/** Options of the `pg` driver for one connection or a pool. */
export function clientOptions(url: PostgresUrl, target: PostgresTarget): pg.ClientConfig {
  const { host, port, ssl } = target;
  const { user, password, database, options, connectTimeoutMs = CONNECT_TIMEOUT_MS } = url;
  return {
    host,
    port,
    ssl,
    application_name: 'acgs-lb',
    connectionTimeoutMillis: connectTimeoutMs,
    ...(user && { user }),
    ...(password && { password }),
    ...(database && { database }),
    ...(options && { options }),
    enableChannelBinding: true,
    // Detects a host that disappears without closing the connection.
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  };
}

/** Throws ReadOnlyServerError when the server accepts no writes, such as a standby. */
export async function requireWritable(client: pg.ClientBase, timeoutMs = CONNECT_TIMEOUT_MS): Promise<void> {
  const query: pg.QueryConfig & { query_timeout: number } = {
    text: 'SHOW transaction_read_only',
    query_timeout: timeoutMs,
  };
  const { rows } = await client.query<{ transaction_read_only: string }>(query);
  if (rows[0]?.transaction_read_only === 'on') {
    throw new ReadOnlyServerError('the server accepts no writes: it is a standby or read-only');
  }
}

/**
 * Tries the targets in order, beginning at index `start` and wrapping around, until `open` succeeds. Throws the error of
 * the server if there is only one, otherwise NoServerAvailableError.
 */
export async function connectToFirst<T>(
  { targets }: PostgresUrl,
  open: (index: number, target: PostgresTarget) => Promise<T>,
  start = 0,
): Promise<T> {
  const failures: [PostgresTarget, Error][] = [];
  for (let offset = 0; offset < targets.length; offset++) {
    const index = (start + offset) % targets.length;
    const target = targets[index] ?? targets[0];
    const previous = failures.at(-1)?.[1];
    if (target.fallback && previous && !isFallbackFor(target.fallback, previous)) continue;
    try {
      return await open(index, target);
    } catch (error) {
      failures.push([target, error as Error]);
    }
  }
  throw summarized(failures);
}

function summarized(failures: readonly [PostgresTarget, Error][]): Error {
  const byServer = new Map<string, Error>();
  for (const [{ host, port }, error] of failures) {
    const before = byServer.get(`${host}:${port}`);
    // Prefer the attempt that got further, which is the one that did not fail because of its encryption; else the later.
    if (!before || isAboutEncryption(before) || !isAboutEncryption(error)) {
      byServer.set(`${host}:${port}`, error);
    }
  }
  const servers = [...byServer];
  const [first] = servers;
  if (first && servers.length === 1) return first[1];
  return new NoServerAvailableError(
    servers.map(([, error]) => error),
    servers.map(([name, error]) => `${name}: ${errorMessage(error)}`).join('; '),
  );
}

/** Did the attempt without TLS fail because the server requires TLS (`tls`), or the reverse (`plain`)? */
function isFallbackFor(fallback: 'plain' | 'tls', error: Error & { code?: string }): boolean {
  if (!isAboutEncryption(error)) return false;
  return fallback === 'plain' || error.code === '28000';
}

/** 28000: pg_hba.conf allows only connections with, or only connections without, TLS. */
const isAboutEncryption = (error: Error & { code?: string }): boolean =>
  error.code === '28000' || /does not support SSL/.test(error.message);

/** Opens one connection, which the caller ends. `database` overrides that of the URL. */
export async function connectPostgres(
  url: string,
  { database }: { database?: string } = {},
): Promise<pg.Client> {
  const parsed = parsePostgresUrl(url);
  return connectToFirst(parsed, async (_index, target) => {
    const client = new pg.Client({ ...clientOptions(parsed, target), ...(database && { database }) });
    client.on('error', () => {});
    try {
      await client.connect();
      if (parsed.readWrite) await requireWritable(client, parsed.connectTimeoutMs);
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
  });
}
