import { readdir } from 'node:fs/promises';
import { type Database, openDatabase } from '../../history/sql/database.ts';
import { postgresErrorHint } from '../../history/sql/error-hints.ts';
import { findDatabaseUrl } from '../../history/sql/find-database.ts';
import { migrationsFolder } from '../../history/sql/migrate.ts';
import { createRedisClient } from '../../live/redis-client.ts';
import { CLUSTER_NODE_HINT, clusterNodeError, redisErrorHint } from '../../live/redis-error-hints.ts';
import { checkClock, errorSummary, type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

export async function checkRedis({ env, config, now }: DoctorInput): Promise<Finding[]> {
  if (!env.REDIS_URL) {
    if (config.site.agents > 1) {
      return [
        fail(
          'Redis',
          'REDIS_URL is not set, and the site has two agents',
          'set REDIS_URL: the agents share their lease and wishes through it',
        ),
      ];
    }
    return [skip('Redis', 'REDIS_URL is not set: live state is kept in memory')];
  }
  let redis: ReturnType<typeof createRedisClient>;
  try {
    redis = createRedisClient(env.REDIS_URL, {
      ...{ lazyConnect: true, connectTimeout: 3_000, commandTimeout: 3_000, maxRetriesPerRequest: 0 },
      retryStrategy: () => null,
    });
  } catch (error) {
    return [fail('Redis', errorSummary(error), 'put REDIS_URL right; docs/operations.md shows its forms')];
  }
  // The promise only says "closed"; why, the event does.
  let why: Error | null = null;
  redis.on('error', (error: Error) => {
    why ??= clusterNodeError(error);
  });
  try {
    await redis.connect();
    const [seconds = 0, micros = 0] = (await redis.time()).map(Number);
    if (!redis.isCluster && /cluster_enabled:1/.test(await redis.info('cluster'))) {
      return [fail('Redis', 'answers, as a node of a cluster', CLUSTER_NODE_HINT)];
    }
    const info = await redis.info('memory');
    const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? 'unknown';
    const limit = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
    const found = [
      ok(
        'Redis',
        `answers; maxmemory ${limit ? `${Math.round(limit / 1024 ** 2)} MiB` : 'without limit'}, ${policy}`,
      ),
      checkClock('Redis clock', seconds * 1000 + micros / 1000, now()),
    ];
    if (limit > 0 && policy === 'noeviction') {
      found.push(
        warn(
          'Redis eviction',
          'noeviction: writes fail once memory is full',
          'CONFIG SET maxmemory-policy allkeys-lru; nothing in it is the only copy',
        ),
      );
    }
    return found;
  } catch (error) {
    const told = why ?? clusterNodeError(error as Error);
    return [fail('Redis', errorSummary(told), redisErrorHint(told))];
  } finally {
    redis.disconnect();
  }
}

export async function checkPostgres({ env, stateDir, now }: DoctorInput): Promise<Finding[]> {
  const url = findDatabaseUrl({ env, stateDir });
  if (!url) return [skip('Postgres', 'DATABASE_URL is not set: history is kept in the embedded database')];
  let database: Database;
  try {
    database = openDatabase(url, { min: 0, max: 1, idle: 1_000 }, 5_000);
  } catch (error) {
    return [fail('Postgres', errorSummary(error), postgresErrorHint(error))];
  }
  try {
    const { rows } = await database.query<PostgresProperties>(QUESTION);
    const found = rows.map(judgePostgres);
    if (rows[0]) found.push(checkClock('Postgres clock', rows[0].now.getTime(), now()));
    const done = await database
      .query<{ name: string }>('SELECT name FROM acgs_lb_migrations')
      .catch(() => ({ rows: [] }));
    const known = (await readdir(migrationsFolder()))
      .filter((name) => name.endsWith('.sql'))
      .map((name) => name.replace(/\.sql$/, ''));
    const missing = known.filter((name) => !done.rows.some((row) => row.name === name));
    found.push(
      missing.length === 0
        ? ok('schema', `newest (${known.length} migrations)`)
        : fail(
            'schema',
            `not there yet: ${missing.join(', ')}`,
            'the agent makes it as soon as it has Postgres; where none runs, acgs-lb migrate',
          ),
    );
    return found;
  } catch (error) {
    return [fail('Postgres', errorSummary(error), postgresErrorHint(error))];
  } finally {
    await database.close();
  }
}

interface PostgresProperties {
  now: Date;
  version: string;
  read_only: string;
  tls: string | null;
  server: string | null;
}

const QUESTION = `SELECT now(), current_setting('server_version') AS version,
  current_setting('transaction_read_only') AS read_only,
  host(inet_server_addr()) || ':' || inet_server_port() AS server,
  (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls`;

function judgePostgres({ version, read_only, tls, server }: PostgresProperties): Finding {
  const where = server ? ` at ${server}` : '';
  const detail = `answers${where}, version ${version}, ${tls ?? 'no TLS'}`;
  if (read_only !== 'on') return ok('Postgres', detail);
  return fail('Postgres', `${detail}; it takes no writes`, postgresErrorHint({ code: '25006' }));
}
