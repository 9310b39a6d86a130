import pg from 'pg';

/** What runs statements: a pool or one of its connections. */
export interface Queryable {
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ rows: R[]; rowCount: number | null }>;
}

export interface Database extends Queryable {
  /** Runs `work` in a transaction on one connection; rolls back when it throws. */
  transaction<T>(work: (client: Queryable) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface PoolOptions {
  /** Connections kept open and opened at most; `idle`, milliseconds until a spare one is closed. */
  min: number;
  max: number;
  idle: number;
}

const CONNECT_MS = 3_000;
/** No statement of the agent's own takes as long; a server that hangs must not hang it. */
const STATEMENT_MS = 60_000;

/** bigint (counts, epochs) as a number: none here comes near 2^53. */
const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === 20 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

/** Opens nothing yet: the first statement connects, so a database that is away does not keep the agent from starting. */
export function openDatabase(url: string, pool: PoolOptions, statementMs = STATEMENT_MS): Database {
  // The database inside serves one connection at a time: more would only wait.
  const embedded = isEmbedded(url);
  const connections = new pg.Pool({
    connectionString: url,
    application_name: 'acgs-lb',
    min: embedded ? 0 : pool.min,
    max: embedded ? Math.min(pool.max, 4) : pool.max,
    idleTimeoutMillis: pool.idle,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    types,
    // The embedded database knows no statement timeout of its own.
    ...(embedded ? {} : { statement_timeout: statementMs, query_timeout: statementMs + 1_000 }),
  });
  // A connection that dies while idle is replaced by the pool; without a listener it would end the process.
  connections.on('error', () => {});

  return {
    query: (text, values) => connections.query(text, values ? [...values] : undefined),
    async transaction(work) {
      const client = await connections.connect();
      let broken: Error | undefined;
      // As for idle ones, while it is checked out.
      const onError = (error: Error) => {
        broken = error;
      };
      client.on('error', onError);
      try {
        await client.query('BEGIN');
        const result = await work({
          query: (text, values) => client.query(text, values ? [...values] : undefined),
        });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((cause: Error) => {
          broken = cause;
        });
        throw error;
      } finally {
        client.off('error', onError);
        client.release(broken);
      }
    },
    close: () => connections.end(),
  };
}

/** The embedded database is reached through a Unix socket in a private folder, never over TCP. */
export const isEmbedded = (url: string): boolean => /[?&]host=(?:%2F|\/)[^&]*pglite/i.test(url);
