import { readdir } from 'node:fs/promises';
import { openRedis } from '../../live/redis-client.ts';
import { innermost, redisMend } from '../../live/redis-words.ts';
import { openDatabase } from '../../sql/database.ts';
import { databaseUrl } from '../../sql/locate.ts';
import { migrationsFolder } from '../../sql/migrate.ts';
import type { Facts } from './facts.ts';
import { type Finding, fail, judgeClock, ok, skip, warn, wordsOf } from './finding.ts';

export async function checkRedis({ env, config, now }: Facts): Promise<Finding[]> {
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
  let redis: ReturnType<typeof openRedis>;
  try {
    redis = openRedis(env.REDIS_URL, {
      ...{ lazyConnect: true, connectTimeout: 3_000, commandTimeout: 3_000, maxRetriesPerRequest: 0 },
      retryStrategy: () => null,
    });
  } catch (error) {
    return [fail('Redis', wordsOf(error), 'put REDIS_URL right; docs/operations.md shows its forms')];
  }
  // The promise only says "closed"; why, the event does.
  let why: Error | null = null;
  redis.on('error', (error: Error) => {
    why ??= innermost(error);
  });
  try {
    await redis.connect();
    const [seconds = 0, micros = 0] = (await redis.time()).map(Number);
    const info = await redis.info('memory');
    const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? 'unknown';
    const limit = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
    const found = [
      ok(
        'Redis',
        `answers; maxmemory ${limit ? `${Math.round(limit / 1024 ** 2)} MiB` : 'without limit'}, ${policy}`,
      ),
      judgeClock('Redis clock', seconds * 1000 + micros / 1000, now()),
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
    const told = why ?? innermost(error as Error);
    return [fail('Redis', wordsOf(told), redisMend(told))];
  } finally {
    redis.disconnect();
  }
}

export async function checkPostgres({ env, stateDir, now }: Facts): Promise<Finding[]> {
  const url = databaseUrl({ env, stateDir });
  if (!url) return [skip('Postgres', 'DATABASE_URL is not set: history is kept in the embedded database')];
  const database = openDatabase(url, { min: 0, max: 1, idle: 1_000 }, 5_000);
  try {
    const { rows } = await database.query<{ now: Date; version: string }>(
      "SELECT now(), current_setting('server_version') AS version",
    );
    const found = [ok('Postgres', `answers, version ${rows[0]?.version ?? 'unknown'}`)];
    if (rows[0]) found.push(judgeClock('Postgres clock', rows[0].now.getTime(), now()));
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
        : fail('schema', `not there yet: ${missing.join(', ')}`, 'acgs-lb migrate'),
    );
    return found;
  } catch (error) {
    return [fail('Postgres', wordsOf(error), postgresMend(error))];
  } finally {
    await database.close();
  }
}

function postgresMend(error: unknown): string {
  switch ((error as { code?: string }).code) {
    case '28P01':
    case '28000':
      return 'the user or password in DATABASE_URL is not the right one; `acgs-lb migrate --init` makes the role';
    case '3D000':
      return '`acgs-lb migrate --init` makes the database acgs_lb';
    default:
      return 'start Postgres, or set DATABASE_URL to where it listens';
  }
}
