import type { Logger } from 'pino';
import type { LiveState } from './live-state.ts';
import { createMemoryLiveState } from './memory.ts';
import { createRedisLiveState } from './redis.ts';

/** Redis when there is a URL, memory when there is none. */
export function openLiveState(options: {
  redisUrl: string | undefined;
  site: string;
  log: Logger;
}): LiveState {
  const { redisUrl, site, log } = options;
  return redisUrl ? createRedisLiveState({ url: redisUrl, site, log }) : createMemoryLiveState();
}
