import pg from 'pg';
import { waitAtMost } from '../../lib/with-timeout.ts';
import { clientOptions, connectToFirst, requireWritable } from './connect.ts';
import { type PostgresTarget, parsePostgresUrl } from './postgres-url.ts';

/** Runs statements: a pool or one of its connections. */
export interface Queryable {
  /** Sites may share a database: statements read and write rows of this site only. */
  readonly site: string;
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: { timeoutMs?: number },
  ): Promise<{ rows: R[]; rowCount: number | null }>;
}

export interface Database extends Queryable {
  /**
   * Runs `work` in a transaction on one connection and rolls back when it throws. When the transaction takes longer than
   * `timeoutMs`, closes the connection and rejects. The embedded database ignores `timeoutMs`.
   */
  transaction<T>(work: (client: Queryable) => Promise<T>, options?: { timeoutMs?: number }): Promise<T>;
  close(): Promise<void>;
}

interface PoolOptions {
  /** Connections kept open. */
  min: number;
  /** Connections opened at most. */
  max: number;
  /** Milliseconds until an idle connection above `min` is closed. */
  idle: number;
}

const CLOSE_TIMEOUT_MS = 3_000;
/** Longer than any statement of the agent takes: a server that hangs must not block it. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** The embedded database serves one connection at a time; more would only wait. */
const MAX_EMBEDDED_CONNECTIONS = 4;

/** Parses bigint (counts, epochs) as a number: no value comes near 2^53. */
const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === 20 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

/**
 * Connects at the first statement, so that the agent starts while the database is unavailable. With several servers, the
 * one that accepted the last connection is tried first. Throws StoreUrlError at once.
 */
export function openDatabase(
  url: string,
  site: string,
  pool: PoolOptions,
  statementTimeoutMs = STATEMENT_TIMEOUT_MS,
): Database {
  const embedded = isEmbedded(url);
  const { connect, close } = createPools(url, pool, statementTimeoutMs);
  return {
    site,
    async query<R extends pg.QueryResultRow>(
      text: string,
      values?: readonly unknown[],
      { timeoutMs }: { timeoutMs?: number } = {},
    ) {
      const client = await connect();
      try {
        const result = await runStatement<R>(client, text, values, embedded ? undefined : timeoutMs);
        client.release();
        return result;
      } catch (error) {
        client.release(isBroken(error));
        throw error;
      }
    },
    async transaction(work, { timeoutMs } = {}) {
      return runTransaction(
        await connect(),
        (client) => work({ site, query: (text, values) => runStatement(client, text, values) }),
        embedded ? undefined : timeoutMs,
      );
    },
    close,
  };
}

/** One pool for each server of the URL, made when it is needed. */
function createPools(url: string, pool: PoolOptions, statementTimeoutMs: number) {
  const parsed = parsePostgresUrl(url);
  const embedded = isEmbedded(url);
  const pools = new Map<number, pg.Pool>();
  let current = 0;

  const makePool = (target: PostgresTarget): pg.Pool => {
    const connections = new pg.Pool({
      ...clientOptions(parsed, target),
      min: embedded ? 0 : pool.min,
      max: embedded ? Math.min(pool.max, MAX_EMBEDDED_CONNECTIONS) : pool.max,
      idleTimeoutMillis: pool.idle,
      types,
      // PGlite supports no statement timeout.
      ...(!embedded && { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + 1_000 }),
      ...(parsed.readWrite && {
        onConnect: (client: pg.ClientBase) => requireWritable(client, parsed.connectTimeoutMs),
      }),
    });
    // The pool replaces a broken connection. Without a listener its 'error' event would end the process.
    connections.on('error', () => {});
    connections.on('connect', (client) => client.on('error', () => {}));
    return connections;
  };

  return {
    connect: (): Promise<pg.PoolClient> =>
      connectToFirst(
        parsed,
        async (index, target) => {
          const connections = pools.get(index) ?? makePool(target);
          pools.set(index, connections);
          const client = await connections.connect();
          current = index;
          return client;
        },
        current,
      ),
    async close(): Promise<void> {
      // A statement that hangs must not keep the process from exiting.
      const ended = Promise.all([...pools.values()].map((connections) => connections.end()));
      await waitAtMost(ended, CLOSE_TIMEOUT_MS);
    },
  };
}

async function runTransaction<T>(
  client: pg.PoolClient,
  work: (client: pg.PoolClient) => Promise<T>,
  timeoutMs: number | undefined,
): Promise<T> {
  let broken = false;
  let timeout: Error | undefined;
  const onError = () => {
    broken = true;
  };
  client.on('error', onError);
  const onTimeout = (): void => {
    timeout = new Error(`Postgres did not answer within ${(timeoutMs ?? 0) / 1000} s`);
    closeConnection(client);
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs);
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    broken ||= isBroken(timeout ?? error);
    if (!broken) await client.query('ROLLBACK').catch(onError);
    throw timeout ?? error;
  } finally {
    clearTimeout(timer);
    client.off('error', onError);
    client.release(broken);
  }
}

/** The same database with a timeout for single statements, for interactive callers. */
export function withStatementTimeout(database: Database, timeoutMs: number): Database {
  return { ...database, query: (text, values) => database.query(text, values, { timeoutMs }) };
}

function runStatement<R extends pg.QueryResultRow>(
  client: pg.ClientBase,
  text: string,
  values?: readonly unknown[],
  timeoutMs?: number,
): Promise<pg.QueryResult<R>> {
  const config: pg.QueryConfig & { query_timeout?: number } = {
    text,
    ...(values && { values: [...values] }),
    ...(timeoutMs !== undefined && { query_timeout: timeoutMs }),
  };
  return client.query<R>(config);
}

/** Closes a connection that does not respond; statements on it fail at once. */
function closeConnection(client: pg.PoolClient): void {
  (client as pg.Client).end().catch(() => {});
}

/** True when the connection cannot be reused: it broke or hangs, or the server shuts down or has become read-only. */
function isBroken(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.severity === 'FATAL' || error.code === '25006' || error.code?.startsWith('57P') === true;
}

/** Whether a URL names the embedded database, by its Unix socket in a folder `acgs-pglite-…`. */
export const isEmbedded = (url: string): boolean => /[?&]host=(?:%2F|\/)[^&]*pglite/i.test(url);
