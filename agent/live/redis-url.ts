import { Redis, type RedisOptions } from 'ioredis';

const SENTINEL_PORT = 26_379;

/** How replies are mapped stays the client's own way. */
type Options = Omit<RedisOptions, 'replyMapping'>;

/**
 * A client for `redis://…`, `rediss://…` (TLS), or a master that Sentinels know:
 * `redis+sentinel://[[user]:password@]host[:port][,host[:port]…]/MASTER[/DB][?sentinelPassword=…]`, and the same with
 * `rediss+sentinel://` for TLS to master and Sentinels. Throws, without the password, when the URL is neither.
 */
export function openRedis(url: string, options: Options): Redis {
  const sentinel = parseSentinelUrl(url);
  if (!sentinel) return new Redis(url, options);
  const { retryStrategy } = options;
  return new Redis({ ...sentinel, ...options, sentinelRetryStrategy: (attempt) => retryStrategy?.(attempt) });
}

/** Null when the URL is not of a Sentinel. */
export function parseSentinelUrl(url: string): Options | null {
  const match = /^(rediss?)\+sentinel:\/\/(?:([^@]*)@)?([^/?@]+)\/([^/?]+)(?:\/(\d+))?(?:\?(.*))?$/.exec(url);
  if (!match) {
    if (/^rediss?\+sentinel:/.test(url)) {
      throw new Error(
        'REDIS_URL: expected redis+sentinel://[user:password@]host:port[,host:port]/MASTER[/DB]',
      );
    }
    return null;
  }
  const [, scheme, credentials = '', hosts = '', name = '', db, query] = match;
  const colon = credentials.indexOf(':');
  const username = decodeURIComponent(colon < 0 ? credentials : credentials.slice(0, colon));
  const password = colon < 0 ? '' : decodeURIComponent(credentials.slice(colon + 1));
  const sentinelPassword = new URLSearchParams(query).get('sentinelPassword');
  return {
    sentinels: hosts.split(',').map((part) => {
      const [, host = part, port] = /^(.+?|\[.+\])(?::(\d+))?$/.exec(part) ?? [];
      return { host: host.replace(/^\[|\]$/g, ''), port: port ? Number(port) : SENTINEL_PORT };
    }),
    name: decodeURIComponent(name),
    ...(username && { username }),
    ...(password && { password }),
    ...(db && { db: Number(db) }),
    ...(sentinelPassword && { sentinelPassword }),
    ...(scheme === 'rediss' && { tls: {}, enableTLSForSentinelMode: true }),
  };
}
