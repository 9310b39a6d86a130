import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl } from './redis-url.ts';

/** How replies are mapped stays the client's own way. */
type RedisClientOptions = Omit<RedisOptions, 'replyMapping'>;

/** How often a cluster's map is read anew: a node that hangs answers no MOVED, so nothing else would tell. */
const MAP_MS = 5_000;

/** A client for what REDIS_URL names. Of several hosts each is tried in turn. Throws as `parseRedisUrl` does. */
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
      // Names stay names: a certificate is for a name.
      dnsLookup: (host, done) => done(null, host),
      slotsRefreshInterval: MAP_MS,
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
