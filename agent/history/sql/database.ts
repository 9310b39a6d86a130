import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { clientOptions, connectToFirst, requireWritable } from './connect.ts';
import { type PostgresTarget, parsePostgresUrl } from './postgres-url.ts';

/** What runs statements: a pool or one of its connections. */
export interface Queryable {
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: { timeoutMs?: number },
  ): Promise<{ rows: R[]; rowCount: number | null }>;
}

export interface Database extends Queryable {
  /**
   * Runs `work` in a transaction on one connection; rolls back when it throws. After `timeoutMs` in all the connection is
   * cut, and it throws.
   */
  transaction<T>(work: (client: Queryable) => Promise<T>, options?: { timeoutMs?: number }): Promise<T>;
  close(): Promise<void>;
}

export interface PoolOptions {
  /** Connections kept open and opened at most; `idle`, milliseconds until a spare one is closed. */
  min: number;
  max: number;
  idle: number;
}

const CLOSE_MS = 3_000;
/** No statement of the agent's own takes as long; a server that hangs must not hang it. */
const STATEMENT_MS = 60_000;

/** bigint (counts, epochs) as a number: none here comes near 2^53. */
const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === 20 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

/**
 * Opens nothing yet: the first statement connects, so a database that is away does not keep the agent from starting. Of
 * several servers the one that took the last connection is asked first. Throws StoreUrlError at once.
 */
export function openDatabase(url: string, pool: PoolOptions, statementMs = STATEMENT_MS): Database {
  const parsed = parsePostgresUrl(url);
  const embedded = isEmbedded(url);
  const pools = new Map<number, pg.Pool>();
  let current = 0;

  const makePool = (target: PostgresTarget): pg.Pool => {
    const connections = new pg.Pool({
      ...clientOptions(parsed, target),
      // The database inside serves one connection at a time: more would only wait.
      min: embedded ? 0 : pool.min,
      max: embedded ? Math.min(pool.max, 4) : pool.max,
      idleTimeoutMillis: pool.idle,
      types,
      // The embedded database knows no statement timeout of its own.
      ...(embedded ? {} : { statement_timeout: statementMs, query_timeout: statementMs + 1_000 }),
      ...(parsed.readWrite && {
        onConnect: (client: pg.ClientBase) => requireWritable(client, parsed.connectTimeoutMs),
      }),
    });
    // A connection that dies is replaced by the pool; without a listener, idle or at work, it would end the process.
    connections.on('error', () => {});
    connections.on('connect', (client) => client.on('error', () => {}));
    return connections;
  };

  const checkOut = (): Promise<pg.PoolClient> =>
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
    );

  return {
    async query<R extends pg.QueryResultRow>(
      text: string,
      values?: readonly unknown[],
      { timeoutMs }: { timeoutMs?: number } = {},
    ) {
      const client = await checkOut();
      try {
        const result = await ask<R>(client, text, values, embedded ? undefined : timeoutMs);
        client.release();
        return result;
      } catch (error) {
        client.release(isBroken(error));
        throw error;
      }
    },
    async transaction(work, { timeoutMs } = {}) {
      const client = await checkOut();
      let broken = false;
      const onError = () => {
        broken = true;
      };
      client.on('error', onError);
      let late: Error | undefined;
      const timer =
        timeoutMs === undefined || embedded
          ? undefined
          : setTimeout(() => {
              late = new Error(`Postgres gave no answer within ${timeoutMs / 1000} s`);
              cut(client);
            }, timeoutMs);
      try {
        await client.query('BEGIN');
        const result = await work({ query: (text, values) => ask(client, text, values) });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        broken ||= isBroken(late ?? error);
        if (!broken) {
          await client.query('ROLLBACK').catch(() => {
            broken = true;
          });
        }
        throw late ?? error;
      } finally {
        clearTimeout(timer);
        client.off('error', onError);
        client.release(broken);
      }
    },
    async close() {
      // A statement that hangs does not keep the process from ending.
      const ended = Promise.all([...pools.values()].map((connections) => connections.end()));
      await Promise.race([ended, sleep(CLOSE_MS, undefined, { ref: false })]);
    },
  };
}

/** The same database for whoever cannot wait longer for a statement of its own: a request somebody waits for. */
export function withStatementTimeout(database: Database, timeoutMs: number): Database {
  return { ...database, query: (text, values) => database.query(text, values, { timeoutMs }) };
}

function ask<R extends pg.QueryResultRow>(
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

/** Ends a connection that answers no more; what waits on it fails at once. */
function cut(client: pg.PoolClient): void {
  (client as pg.Client).end().catch(() => {});
}

/** Of no more use: it broke, it hangs, the server is going, or it is not (any more) the one that takes writes. */
function isBroken(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.severity === 'FATAL' || error.code === '25006' || error.code?.startsWith('57P') === true;
}

/** The embedded database is reached through a Unix socket in a private folder, never over TCP. */
export const isEmbedded = (url: string): boolean => /[?&]host=(?:%2F|\/)[^&]*pglite/i.test(url);
