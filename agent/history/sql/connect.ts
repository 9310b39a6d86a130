import pg from 'pg';
import { type PostgresTarget, type PostgresUrl, parsePostgresUrl } from './postgres-url.ts';

/** No server of several would do. `reasons` has what each said, in order. */
export class NoServerAvailableError extends Error {
  override name = 'NoServerError';
  readonly reasons: readonly Error[];

  constructor(reasons: readonly Error[], text: string) {
    super(text);
    this.reasons = reasons;
  }
}

/** A server that answers and takes no writes. */
export class ReadOnlyServerError extends Error {
  override name = 'ReadOnlyError';
}

/** Unless the URL says otherwise. */
const CONNECT_MS = 3_000;
const KEEP_ALIVE_MS = 10_000;

/** For the driver, one connection or a pool of them. */
export function clientOptions(url: PostgresUrl, target: PostgresTarget): pg.ClientConfig {
  const { host, port, ssl } = target;
  const { user, password, database, options, connectTimeoutMs = CONNECT_MS } = url;
  return {
    ...{ host, port, ssl, application_name: 'acgs-lb', connectionTimeoutMillis: connectTimeoutMs },
    ...(user && { user }),
    ...(password && { password }),
    ...(database && { database }),
    ...(options && { options }),
    enableChannelBinding: true,
    // A host that vanished sends no farewell.
    ...{ keepAlive: true, keepAliveInitialDelayMillis: KEEP_ALIVE_MS },
  };
}

/** Throws ReadOnlyError at a standby, or wherever else nothing can be written. */
export async function requireWritable(client: pg.ClientBase, timeoutMs = CONNECT_MS): Promise<void> {
  const query: pg.QueryConfig & { query_timeout: number } = {
    ...{ text: 'SHOW transaction_read_only', query_timeout: timeoutMs },
  };
  const { rows } = await client.query<{ transaction_read_only: string }>(query);
  if (rows[0]?.transaction_read_only === 'on') {
    throw new ReadOnlyServerError('it takes no writes: it is a standby, or set to be read-only');
  }
}

/**
 * Tries the ways to each server in turn, from `start` on and round, until `open` succeeds. Throws what the only server
 * said, or NoServerError.
 */
export async function connectToFirst<T>(
  { targets }: PostgresUrl,
  open: (index: number, target: PostgresTarget) => Promise<T>,
  start = 0,
): Promise<T> {
  const reasons = new Map<PostgresTarget, Error>();
  let previous: Error | undefined;
  for (let step = 0; step < targets.length; step++) {
    const index = (start + step) % targets.length;
    const target = targets[index] ?? targets[0];
    if (target.fallback && step > 0 && !wants(target.fallback, previous)) continue;
    try {
      return await open(index, target);
    } catch (error) {
      previous = error as Error;
      reasons.set(target, previous);
    }
  }
  const told = new Map<string, Error>();
  for (const [{ host, port }, error] of reasons) {
    const before = told.get(`${host}:${port}`);
    // Of two ways to one server the one that got farther tells more: not the one that was of the wrong kind, else the later.
    if (!before || isAboutKind(before) || !isAboutKind(error)) told.set(`${host}:${port}`, error);
  }
  const servers = [...told];
  const [only] = servers;
  if (only && servers.length === 1) throw only[1];
  throw new NoServerAvailableError(
    servers.map(([, error]) => error),
    servers.map(([name, error]) => `${name}: ${wordsOf(error)}`).join('; '),
  );
}

const wordsOf = (error: Error & { code?: string }): string => error.message || error.code || error.name;

/** Did the way before fail for want or for excess of encryption? */
function wants(other: 'plain' | 'tls', error: (Error & { code?: string }) | undefined): boolean {
  if (error === undefined || !isAboutKind(error)) return false;
  return other === 'plain' || error.code === '28000';
}

/** 28000: pg_hba.conf has a line for the other kind alone. */
const isAboutKind = (error: Error & { code?: string }): boolean =>
  error.code === '28000' || /does not support SSL/.test(error.message);

/** One connection, the caller's to end. `database` in place of the URL's own. */
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
