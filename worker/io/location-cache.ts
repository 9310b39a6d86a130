import { withTimeout } from './with-timeout.ts';

const KEY = 'https://probe.acgs-lb.invalid/';
const TIMEOUT_MS = 1_000;

/**
 * Whether the Cache API stores anything. On workers.dev it stores nothing, and in a workerd without a cache service it
 * throws. Never rejects.
 */
export async function cacheStores(): Promise<boolean> {
  const probe = async (): Promise<boolean> => {
    await caches.default.put(KEY, new Response('1', { headers: { 'cache-control': 'public, max-age=60' } }));
    const found = await caches.default.match(KEY);
    await found?.body?.cancel();
    return found !== undefined;
  };
  return withTimeout(probe(), TIMEOUT_MS, 'cache').catch(() => false);
}
