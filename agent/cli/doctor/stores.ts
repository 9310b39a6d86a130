import { readdir } from 'node:fs/promises';
import { type Database, openDatabase } from '../../history/sql/database.ts';
import { postgresErrorHint } from '../../history/sql/error-hints.ts';
import { findDatabaseUrl } from '../../history/sql/find-database.ts';
import { migrationsFolder } from '../../history/sql/migrate.ts';
import { createRedisClient } from '../../live/redis-client.ts';
import { CLUSTER_NODE_HINT, clusterNodeError, redisErrorHint } from '../../live/redis-error-hints.ts';
import { checkClock, errorSummary, type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

type RedisClient = ReturnType<typeof createRedisClient>;

export async function checkRedis({ env, config, now }: DoctorInput): Promise<Finding[]> {
  if (!env.REDIS_URL) {
    if (config.site.agents === 1)
      return [skip('Redis', 'REDIS_URL is not set; live state is kept in memory')];
    const detail = `REDIS_URL is not set, and the site has ${config.site.agents} agents`;
    const mend = 'set REDIS_URL; the agents share the leader lease and the operator settings through it';
    return [fail('Redis', detail, mend)];
  }
  let redis: RedisClient;
  try {
    redis = createRedisClient(env.REDIS_URL, {
      lazyConnect: true,
      connectTimeout: 3_000,
      commandTimeout: 3_000,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    });
  } catch (error) {
    return [
      fail('Redis', errorSummary(error), 'correct REDIS_URL; docs/operations.md shows the allowed forms'),
    ];
  }
  // The promise only rejects with "closed"; the event has the reason.
  let reason: Error | null = null;
  redis.on('error', (error: Error) => {
    reason ??= clusterNodeError(error);
  });
  try {
    await redis.connect();
    return await redisFindings(redis, now);
  } catch (error) {
    const cause = reason ?? clusterNodeError(error as Error);
    return [fail('Redis', errorSummary(cause), redisErrorHint(cause))];
  } finally {
    redis.disconnect();
  }
}

async function redisFindings(redis: RedisClient, now: () => number): Promise<Finding[]> {
  const [seconds = 0, micros = 0] = (await redis.time()).map(Number);
  if (!redis.isCluster && /cluster_enabled:1/.test(await redis.info('cluster'))) {
    return [fail('Redis', 'answers as a node of a cluster', CLUSTER_NODE_HINT)];
  }
  const info = await redis.info('memory');
  const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? 'unknown';
  const limit = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
  const limitText = limit ? `${Math.round(limit / 1024 ** 2)} MiB` : 'unlimited';
  const findings = [
    ok('Redis', `answers; maxmemory ${limitText}, ${policy}`),
    checkClock('Redis clock', seconds * 1000 + micros / 1000, now()),
  ];
  if (limit > 0 && policy === 'noeviction') {
    const mend = 'CONFIG SET maxmemory-policy allkeys-lru; every key can be rebuilt';
    findings.push(warn('Redis eviction', 'noeviction: writes fail when memory is full', mend));
  }
  return findings;
}

export async function checkPostgres({ env, config, stateDir, now }: DoctorInput): Promise<Finding[]> {
  const url = findDatabaseUrl({ env, stateDir });
  if (!url) return [skip('Postgres', 'DATABASE_URL is not set; history is kept in the embedded database')];
  let database: Database;
  try {
    database = openDatabase(url, config.site.id, { min: 0, max: 1, idle: 1_000 }, 5_000);
  } catch (error) {
    return [fail('Postgres', errorSummary(error), postgresErrorHint(error))];
  }
  try {
    const { rows } = await database.query<PostgresProperties>(PROPERTIES_SQL);
    const found = rows.map(postgresFinding);
    if (rows[0]) found.push(checkClock('Postgres clock', rows[0].now.getTime(), now()));
    const applied = await database
      .query<{ name: string }>('SELECT name FROM acgs_lb_migrations')
      .catch(() => ({ rows: [] }));
    const known = (await readdir(migrationsFolder()))
      .filter((name) => name.endsWith('.sql'))
      .map((name) => name.replace(/\.sql$/, ''));
    const missing = known.filter((name) => !applied.rows.some((row) => row.name === name));
    found.push(
      missing.length === 0
        ? ok('schema', `current (${known.length} migrations)`)
        : fail(
            'schema',
            `missing migrations: ${missing.join(', ')}`,
            'a running agent migrates as soon as it reaches Postgres; else run `acgs-lb migrate`',
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

const PROPERTIES_SQL = `SELECT now(), current_setting('server_version') AS version,
  current_setting('transaction_read_only') AS read_only,
  host(inet_server_addr()) || ':' || inet_server_port() AS server,
  (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls`;

function postgresFinding({ version, read_only, tls, server }: PostgresProperties): Finding {
  const where = server ? ` at ${server}` : '';
  const detail = `answers${where}, version ${version}, ${tls ?? 'no TLS'}`;
  if (read_only !== 'on') return ok('Postgres', detail);
  return fail('Postgres', `${detail}; read-only`, postgresErrorHint({ code: '25006' }));
}
