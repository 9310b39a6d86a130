import type { ConnectionOptions } from 'node:tls';
import { readStoreTlsFiles } from '../lib/store-tls.ts';
import { parseStoreUrl, type StoreHost, StoreUrlError } from '../lib/store-url.ts';

/** One Redis, a master monitored by Sentinels, or a Redis Cluster. */
export interface RedisTarget {
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
  const segments = path.filter((segment) => segment !== '');
  const name = kind === 'sentinel' ? segments.shift() : undefined;
  const db = segments.shift() ?? '';
  const sentinelPassword = query.get('sentinelPassword');
  if (kind === 'server' && rest.length > 0) throw invalidUrl();
  if (kind === 'sentinel' && !name) throw invalidUrl();
  if (segments.length > 0 || !/^\d*$/.test(db)) throw invalidUrl();
  if (kind === 'cluster' && Number(db) > 0)
    throw new StoreUrlError('REDIS_URL: a cluster has only database 0');
  const tls = readStoreTlsFiles('REDIS_URL', query, { ca: 'cacert', cert: 'cert', key: 'key' });
  return {
    kind,
    hosts: [first, ...rest],
    ...(name && { name }),
    ...(username && { username }),
    ...(password && { password }),
    ...(sentinelPassword && { sentinelPassword }),
    ...(db && { db: Number(db) }),
    ...(secure && { tls }),
  };
}
