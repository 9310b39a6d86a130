import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl } from './redis-url.ts';

type RedisClientOptions = Omit<RedisOptions, 'replyMapping'>;

/** How often the cluster's slot map is read: a node that hangs sends no MOVED reply. */
const SLOTS_REFRESH_MS = 5_000;

/** Creates a client for REDIS_URL. Several hosts are tried in turn. Throws StoreUrlError. */
export function createRedisClient(url: string, options: RedisClientOptions): Redis | Cluster {
  const target = parseRedisUrl(url);
  const { kind, hosts, name, db, username, password, sentinelPassword, tls } = target;
  const { retryStrategy, lazyConnect = false, enableOfflineQueue = true, ...common } = options;
  const access = { ...(username && { username }), ...(password && { password }), ...(tls && { tls }) };
  if (kind === 'cluster') {
    return new Cluster(hosts, {
      lazyConnect,
      enableOfflineQueue,
      clusterRetryStrategy: (attempt) => retryStrategy?.(attempt) ?? null,
      // Keep host names: certificates are issued for names, not addresses.
      dnsLookup: (host, done) => done(null, host),
      slotsRefreshInterval: SLOTS_REFRESH_MS,
      maxRedirections: 8,
      redisOptions: { ...common, ...access },
    });
  }
  const single = { ...options, ...access, ...(db !== undefined && { db }) };
  if (kind === 'server') return new Redis({ ...single, ...hosts[0] });
  return new Redis({
    ...single,
    sentinels: hosts,
    name: name ?? '',
    sentinelRetryStrategy: (attempt) => retryStrategy?.(attempt),
    ...(options.connectTimeout && { sentinelCommandTimeout: options.connectTimeout }),
    ...(sentinelPassword && { sentinelPassword }),
    ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
  });
}
