import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { EVENTS_CHANNEL, liveKeys } from './keys.ts';
import type { LiveState } from './live-state.ts';
import { createRedisClient } from './redis-client.ts';
import { clusterNodeError, redisErrorHint } from './redis-error-hints.ts';

export interface RedisLiveStateOptions {
  url: string;
  site: string;
  log: Logger;
  /** Longest wait for a connection or an answer. */
  timeoutMs?: number;
}

const TIMEOUT_MS = 2_000;
const MAX_RECONNECT_MS = 2_000;

const KEEP_ALIVE_MS = 10_000;
const LISTEN_MS = 3_000;

const connection = (timeoutMs: number) => ({
  connectTimeout: timeoutMs,
  // A host that vanished sends no farewell.
  keepAlive: KEEP_ALIVE_MS,
  retryStrategy: (attempt: number) => Math.min(100 * 2 ** Math.min(attempt, 6), MAX_RECONNECT_MS),
  // A replica that was promoted, or a Redis that was reconfigured: connect anew.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
});

/** Takes the lease when free, extends it when ours; answers who holds it. One script, so no one slips in between. */
const ACQUIRE = `
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
return holder`;

const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/** Live state in Redis. Connects in the background and reconnects for ever; commands fail at once while it is away. */
export function createRedisLiveState({
  url,
  site,
  log,
  timeoutMs = TIMEOUT_MS,
}: RedisLiveStateOptions): LiveState {
  const state = { lastError: null as string | null };
  const handlers = new Set<(event: unknown) => void>();
  const redis = createRedisClient(url, {
    ...connection(timeoutMs),
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: timeoutMs,
    // A Redis that takes commands and answers none would go on collecting them: another connection, and perhaps another host.
    socketTimeout: timeoutMs,
  });
  const told = onceUntilReady(log, state);
  redis.on('error', told.error);
  redis.on('ready', told.ready);
  redis.connect().catch(told.error);

  const listener = lazily(() => listen(url, timeoutMs, handlers, log));

  return {
    kind: 'redis',
    async put(entries) {
      await all(entries.map(({ key, value, ttlSeconds }) => redis.set(key, value, 'EX', ttlSeconds)));
    },
    get: (key) => redis.get(key),
    async remove(keys) {
      await all(keys.map((key) => redis.del(key)));
    },
    readIntents: () => redis.hgetall(liveKeys.intents(site)),
    async writeIntent(field, json) {
      if (json === null) await redis.hdel(liveKeys.intents(site), field);
      else await redis.hset(liveKeys.intents(site), field, json);
      await redis.publish(EVENTS_CHANNEL, JSON.stringify({ kind: 'intent', field }));
    },
    async publish(event) {
      await redis.publish(EVENTS_CHANNEL, JSON.stringify(event));
    },
    subscribe(handler) {
      handlers.add(handler);
      listener.get();
      return () => handlers.delete(handler);
    },
    async acquireLease(owner, ttlMs) {
      const holder = await redis.eval(ACQUIRE, 1, liveKeys.leader(site), owner, ttlMs);
      return { held: holder === owner, holder: typeof holder === 'string' ? holder : null };
    },
    async releaseLease(owner) {
      await redis.eval(RELEASE, 1, liveKeys.leader(site), owner);
    },
    status: () => ({
      state: redis.status === 'ready' ? 'ok' : 'retrying',
      lastError: redis.status === 'ready' ? null : state.lastError,
    }),
    async close() {
      listener.peek()?.disconnect();
      redis.disconnect();
    },
  };
}

/**
 * One command a key, all sent at once: keys of a cluster lie on several nodes, and no command may name two of them. Throws
 * the first error, and not before all are answered.
 */
async function all(commands: Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(commands);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** A connection that listens cannot give commands, so it has its own. */
function listen(
  url: string,
  timeoutMs: number,
  handlers: Set<(event: unknown) => void>,
  log: Logger,
): Redis | Cluster {
  const redis = createRedisClient(url, {
    ...connection(timeoutMs),
    maxRetriesPerRequest: null,
    socketTimeout: timeoutMs,
  });
  // The other connection has told about it.
  redis.on('error', () => {});
  redis.on('message', (_channel: string, text: string) => {
    let event: unknown;
    try {
      event = JSON.parse(text);
    } catch {
      log.debug('a message on the events channel is not JSON');
      return;
    }
    for (const handler of handlers) handler(event);
  });
  redis.subscribe(EVENTS_CHANNEL).catch((error: Error) => log.warn(`cannot listen: ${error.message}`));
  // Asked for again and again, which changes nothing: one that hangs gives no answer, and is left.
  const asking = setInterval(() => {
    if (redis.status === 'ready') redis.subscribe(EVENTS_CHANNEL).catch(() => {});
  }, LISTEN_MS).unref();
  redis.once('end', () => clearInterval(asking));
  return redis;
}

function lazily<T>(make: () => T): { get(): T; peek(): T | undefined } {
  let value: T | undefined;
  return {
    get: () => {
      value ??= make();
      return value;
    },
    peek: () => value,
  };
}

/** One line when Redis goes and one when it is back, however often the connection is tried. */
function onceUntilReady(log: Logger, state: { lastError: string | null }) {
  let away = false;
  return {
    error(outer: Error) {
      const error = clusterNodeError(outer);
      state.lastError = error.message || 'connection refused';
      if (away) return;
      away = true;
      log.warn(`Redis cannot be used (${state.lastError}); going on without it: ${redisErrorHint(error)}`);
    },
    ready() {
      if (away) log.info('Redis is back');
      away = false;
      state.lastError = null;
    },
  };
}
