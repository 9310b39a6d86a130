import type { ConnectionOptions } from 'node:tls';
import { readStoreTlsFiles } from '../lib/store-tls.ts';
import { parseStoreUrl, type StoreHost, StoreUrlError } from '../lib/store-url.ts';

/** One Redis, a master that Sentinels know, or a Redis Cluster. */
export interface RedisTarget {
  kind: 'server' | 'sentinel' | 'cluster';
  hosts: [StoreHost, ...StoreHost[]];
  /** The master's name, of a Sentinel. */
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
 * Reads REDIS_URL; `rediss…` is the same over TLS. Parameters: `cacert`, `cert`, `key` are files, named as redis-cli names
 * them; `sentinelPassword`. Throws StoreUrlError, without the password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const [, secure, mode = 'server'] = /^redis(s?)(?:\+(sentinel|cluster))?:\/\//.exec(url) ?? [];
  const kind = mode as RedisTarget['kind'];
  const wrong = () => new StoreUrlError(`REDIS_URL: expected ${FORMS[kind]}, or rediss… for TLS`);
  if (secure === undefined) throw wrong();
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
  if (kind === 'server' && rest.length > 0) throw wrong();
  if (kind === 'sentinel' && !name) throw wrong();
  if (segments.length > 0 || !/^\d*$/.test(db)) throw wrong();
  if (kind === 'cluster' && Number(db) > 0)
    throw new StoreUrlError('REDIS_URL: a cluster has database 0 alone');
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
