import type { Logger } from 'pino';
import type { LiveState } from './live.ts';
import { createMemoryLive } from './memory.ts';
import { createRedisLive } from './redis.ts';

/** Redis when there is a URL, memory when there is none. */
export function openLive(options: { redisUrl: string | undefined; site: string; log: Logger }): LiveState {
  const { redisUrl, site, log } = options;
  return redisUrl ? createRedisLive({ url: redisUrl, site, log }) : createMemoryLive();
}
