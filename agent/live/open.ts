import type { Logger } from 'pino';
import type { LiveState } from './live-state.ts';
import { createMemoryLiveState } from './memory.ts';

/**
 * Live state in Redis, or in memory when `redisUrl` is undefined. Loads the client of Redis, which takes 15 MiB, only
 * when it is needed.
 */
export async function openLiveState(options: {
  redisUrl: string | undefined;
  site: string;
  log: Logger;
}): Promise<LiveState> {
  const { redisUrl, site, log } = options;
  if (!redisUrl) return createMemoryLiveState({ site });
  const { createRedisLiveState } = await import('./redis.ts');
  return createRedisLiveState({ url: redisUrl, site, log });
}
