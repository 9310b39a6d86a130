import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { errorMessage } from '../../shared/error-message.ts';
import { liveKeys } from './keys.ts';
import type { LiveState } from './live-state.ts';
import { createRedisClient } from './redis-client.ts';
import { clusterNodeError, redisErrorHint } from './redis-error-hints.ts';

interface RedisLiveStateOptions {
  url: string;
  site: string;
  log: Logger;
  /** Longest wait for a connection or a reply. */
  timeoutMs?: number;
}

const TIMEOUT_MS = 2_000;
const MAX_RECONNECT_MS = 2_000;

const KEEP_ALIVE_MS = 10_000;
const SUBSCRIPTION_PROBE_MS = 3_000;

const connection = (timeoutMs: number) => ({
  connectTimeout: timeoutMs,
  // Detects a host that disappears without closing the connection.
  keepAlive: KEEP_ALIVE_MS,
  retryStrategy: (attempt: number) => Math.min(100 * 2 ** Math.min(attempt, 6), MAX_RECONNECT_MS),
  // The server has become a replica: reconnect to find the new master.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
});

/**
 * Acquires the lease when it is free, renews it when this agent holds it; returns the holder. A script, because it must be
 * atomic. An agent sets the lease with this ttl at most. A key without a ttl, with a longer one, or of another type is
 * therefore not a lease, and is replaced: otherwise no agent would lead while it exists.
 */
const ACQUIRE = `
if redis.call('TYPE', KEYS[1]).ok == 'string' then
  local holder = redis.call('GET', KEYS[1])
  local ttl = redis.call('PTTL', KEYS[1])
  if holder ~= ARGV[1] and ttl > 0 and ttl <= tonumber(ARGV[2]) then return holder end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]`;

const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/** Far above what agents write: the instances of a site, and those removed within a day. */
const MAX_INTENTS = 50_000;
/** Agents ignore longer values. */
const MAX_INTENT_LENGTH = 300_000;
const MAX_INTENTS_LENGTH = 32 * 1024 * 1024;
/** A copy of a session has less than 300 KB. */
const MAX_VALUE_LENGTH = 4 * 1024 * 1024;
/** The requests of one second, as one agent shares them. */
const MAX_MESSAGE_LENGTH = 16 * 1024 * 1024;

/**
 * The fields and values of the intents, without those that are too long. Deletes a key that is not a hash or is far too
 * large, and returns false. Every agent has the intents in its own file, and writes them again.
 */
const READ_INTENTS = `
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {} end
if kind ~= 'hash' or redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then
  redis.call('UNLINK', KEYS[1])
  return false
end
local found, length = {}, 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local size = redis.call('HSTRLEN', KEYS[1], field)
  if #field <= 1024 and size <= tonumber(ARGV[2]) then
    length = length + #field + size
    if length > tonumber(ARGV[3]) then
      redis.call('UNLINK', KEYS[1])
      return false
    end
    found[#found + 1] = field
    found[#found + 1] = redis.call('HGET', KEYS[1], field)
  end
end
return found`;

/** Live state in Redis. Connects and reconnects in the background; commands fail at once while Redis is unavailable. */
export function createRedisLiveState({
  url,
  site,
  log,
  timeoutMs = TIMEOUT_MS,
}: RedisLiveStateOptions): LiveState {
  const keys = liveKeys(site);
  const state = { lastError: null as string | null };
  const handlers = new Set<(event: unknown) => void>();
  const redis = createRedisClient(url, {
    ...connection(timeoutMs),
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: timeoutMs,
    // A Redis that hangs would collect commands without answering: reconnect, possibly to another host.
    socketTimeout: timeoutMs,
  });
  const connectionLog = logOncePerOutage(log, state);
  redis.on('error', connectionLog.error);
  redis.on('ready', connectionLog.ready);
  redis.connect().catch(connectionLog.error);

  const listener = lazily(() => listen({ url, channel: keys.events, timeoutMs, handlers, log }));

  return {
    kind: 'redis',
    keys,
    async put(entries) {
      await allSettled(entries.map(({ key, value, ttlSeconds }) => redis.set(key, value, 'EX', ttlSeconds)));
    },
    // Redis answers an empty text for a missing key, and no agent writes one.
    get: async (key) => (await redis.getrange(key, 0, MAX_VALUE_LENGTH)) || null,
    async remove(names) {
      await allSettled(names.map((key) => redis.del(key)));
    },
    readIntents: () => readIntents(redis, keys.intents, log),
    async writeIntent(field, json) {
      if (json === null) await redis.hdel(keys.intents, field);
      else await redis.hset(keys.intents, field, json);
      await redis.publish(keys.events, JSON.stringify({ kind: 'intent', field }));
    },
    async publish(event) {
      await redis.publish(keys.events, JSON.stringify(event));
    },
    subscribe(handler) {
      handlers.add(handler);
      listener.get();
      return () => handlers.delete(handler);
    },
    async acquireLease(owner, ttlMs) {
      const holder = await redis.eval(ACQUIRE, 1, keys.leader, owner, ttlMs);
      return { held: holder === owner, holder: typeof holder === 'string' ? holder : null };
    },
    async releaseLease(owner) {
      await redis.eval(RELEASE, 1, keys.leader, owner);
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

async function readIntents(
  redis: Redis | Cluster,
  key: string,
  log: Logger,
): Promise<{ [field: string]: string }> {
  const limits = [MAX_INTENTS, MAX_INTENT_LENGTH, MAX_INTENTS_LENGTH];
  const found: unknown = await redis.eval(READ_INTENTS, 1, key, ...limits);
  if (!Array.isArray(found)) {
    log.warn(
      { key },
      'deleted a Redis key that is not a hash of intents or is too large; the agents write it again',
    );
    return {};
  }
  const values = found.map(String);
  return Object.fromEntries(
    values.flatMap((field, at) => (at % 2 === 0 ? [[field, values[at + 1] ?? '']] : [])),
  );
}

/**
 * Waits for all commands, then throws the first error. Each command has one key, because the keys of a command must be on
 * the same node of a cluster.
 */
async function allSettled(commands: Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(commands);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Subscribes on a connection of its own: a subscribed connection accepts no other commands. */
function listen(options: {
  url: string;
  channel: string;
  timeoutMs: number;
  handlers: ReadonlySet<(event: unknown) => void>;
  log: Logger;
}): Redis | Cluster {
  const { url, channel, timeoutMs, handlers, log } = options;
  const redis = createRedisClient(url, {
    ...connection(timeoutMs),
    maxRetriesPerRequest: null,
    socketTimeout: timeoutMs,
  });
  // The command connection logs the error.
  redis.on('error', () => {});
  redis.on('message', (_channel: string, text: string) => {
    if (text.length > MAX_MESSAGE_LENGTH) {
      log.debug('ignoring a message on the events channel that is too long');
      return;
    }
    let event: unknown;
    try {
      event = JSON.parse(text);
    } catch {
      log.debug('ignoring a message on the events channel that is not JSON');
      return;
    }
    for (const handler of handlers) handler(event);
  });
  redis
    .subscribe(channel)
    .catch((error: Error) => log.warn(`cannot subscribe to Redis events: ${error.message}`));
  // Subscribing again changes nothing, but detects a Redis that hangs: without a reply the socket times out.
  const probe = setInterval(() => {
    if (redis.status === 'ready') redis.subscribe(channel).catch(() => {});
  }, SUBSCRIPTION_PROBE_MS).unref();
  redis.once('end', () => clearInterval(probe));
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

/** Logs one line when Redis becomes unavailable and one when it is available again. */
function logOncePerOutage(log: Logger, state: { lastError: string | null }) {
  let unavailable = false;
  return {
    error(outer: Error) {
      const error = clusterNodeError(outer);
      state.lastError = errorMessage(error);
      if (unavailable) return;
      unavailable = true;
      log.warn(`Redis is unavailable (${state.lastError}); continuing without it: ${redisErrorHint(error)}`);
    },
    ready() {
      if (unavailable) log.info('Redis is available again');
      unavailable = false;
      state.lastError = null;
    },
  };
}
