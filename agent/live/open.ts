import type { Logger } from 'pino';
import type { LiveState } from './live-state.ts';
import { createMemoryLiveState } from './memory.ts';
import { createRedisLiveState } from './redis.ts';

/** Live state in Redis, or in memory when `redisUrl` is undefined. */
export function openLiveState(options: {
  redisUrl: string | undefined;
  site: string;
  log: Logger;
}): LiveState {
  const { redisUrl, site, log } = options;
  return redisUrl ? createRedisLiveState({ url: redisUrl, site, log }) : createMemoryLiveState({ site });
}
