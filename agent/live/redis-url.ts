import type { ConnectionOptions } from 'node:tls';
import { readStoreTlsFiles } from '../lib/store-tls.ts';
import { parseStoreUrl, type StoreHost, StoreUrlError } from '../lib/store-url.ts';

/** One Redis, a master monitored by Sentinels, or a Redis Cluster. */
interface RedisTarget {
  kind: 'server' | 'sentinel' | 'cluster';
  hosts: [StoreHost, ...StoreHost[]];
  /** The name of the master; with Sentinels only. */
  name?: string;
  username?: string;
  password?: string;
  sentinelPassword?: string;
  db?: number;
  tls?: ConnectionOptions;
}

const FORMS = {
  server: 'redis://[[user]:password@]host[:port][/DB]',
  sentinel: 'redis+sentinel://[[user]:password@]host[:port][,host[:port]…]/MASTER[/DB]',
  cluster: 'redis+cluster://[[user]:password@]host[:port][,host[:port]…]',
} as const;

/**
 * Parses REDIS_URL; `rediss…` uses TLS. Parameters: the files `cacert`, `cert` and `key`, named as the options of
 * redis-cli, and `sentinelPassword`. Throws StoreUrlError, whose message does not contain the password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const [, secure, mode = 'server'] = /^redis(s?)(?:\+(sentinel|cluster))?:\/\//.exec(url) ?? [];
  const kind = mode as RedisTarget['kind'];
  const invalidUrl = () => new StoreUrlError(`REDIS_URL: expected ${FORMS[kind]} (rediss… for TLS)`);
  if (secure === undefined) throw invalidUrl();
  const { username, password, hosts, path, query } = parseStoreUrl('REDIS_URL', url, {
    port: kind === 'sentinel' ? 26_379 : 6_379,
    parameters: [
      ...(kind === 'sentinel' ? ['sentinelPassword'] : []),
      ...(secure ? ['cacert', 'cert', 'key'] : []),
    ],
    example: FORMS[kind],
  });
  const [first = { host: 'localhost', port: 6_379 }, ...rest] = hosts;
  if (kind === 'server' && rest.length > 0) throw invalidUrl();
  const names = readPath(kind, path);
  if (!names) throw invalidUrl();
  if (kind === 'cluster' && (names.db ?? 0) > 0)
    throw new StoreUrlError('REDIS_URL: a cluster has only database 0');
  const tls = readStoreTlsFiles('REDIS_URL', query, { ca: 'cacert', cert: 'cert', key: 'key' });
  const sentinelPassword = query.get('sentinelPassword');
  return {
    kind,
    hosts: [first, ...rest],
    ...names,
    ...(username && { username }),
    ...(password && { password }),
    ...(sentinelPassword && { sentinelPassword }),
    ...(secure && { tls }),
  };
}

/** `/MASTER/DB` with Sentinels, otherwise `/DB`; null when the path has another form. */
function readPath(
  kind: RedisTarget['kind'],
  path: readonly string[],
): Pick<RedisTarget, 'name' | 'db'> | null {
  const segments = path.filter((segment) => segment !== '');
  const name = kind === 'sentinel' ? segments.shift() : undefined;
  const [db = '', ...more] = segments;
  if (kind === 'sentinel' && !name) return null;
  if (more.length > 0 || !/^\d*$/.test(db)) return null;
  return { ...(name && { name }), ...(db && { db: Number(db) }) };
}
