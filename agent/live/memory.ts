import { liveKeys } from './keys.ts';
import type { LeaseResult, LiveEntry, LiveState } from './live-state.ts';

interface MemoryLiveStateOptions {
  site?: string;
  now?: () => number;
  /** Above this number of keys the oldest ones are evicted. */
  maxKeys?: number;
}

/** Live state of a single agent without Redis; lost when the process ends. */
export function createMemoryLiveState({
  site = 'main',
  now = Date.now,
  maxKeys = 100_000,
}: MemoryLiveStateOptions = {}): LiveState {
  const entries = new Map<string, { value: string; expiresAt: number }>();
  const intents = new Map<string, string>();
  const handlers = new Set<(event: unknown) => void>();
  let lease: { owner: string; expiresAt: number } | null = null;

  const publish = async (event: object): Promise<void> => {
    const text = JSON.stringify(event);
    for (const handler of handlers) queueMicrotask(() => handler(JSON.parse(text)));
  };

  return {
    kind: 'memory',
    keys: liveKeys(site),
    async put(list: readonly LiveEntry[]) {
      for (const { key, value, ttlSeconds } of list) {
        entries.delete(key);
        entries.set(key, { value, expiresAt: now() + ttlSeconds * 1000 });
      }
      for (const key of entries.keys()) {
        if (entries.size <= maxKeys) break;
        entries.delete(key);
      }
    },
    async get(key) {
      const entry = entries.get(key);
      if (!entry) return null;
      if (entry.expiresAt > now()) return entry.value;
      entries.delete(key);
      return null;
    },
    async remove(keys) {
      for (const key of keys) entries.delete(key);
    },
    async readIntents() {
      return Object.fromEntries(intents);
    },
    async writeIntent(field, json) {
      if (json === null) intents.delete(field);
      else intents.set(field, json);
      await publish({ kind: 'intent', field });
    },
    publish,
    subscribe(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    async acquireLease(owner, ttlMs): Promise<LeaseResult> {
      if (!lease || lease.expiresAt <= now() || lease.owner === owner) {
        lease = { owner, expiresAt: now() + ttlMs };
      }
      return { held: lease.owner === owner, holder: lease.owner };
    },
    async releaseLease(owner) {
      if (lease?.owner === owner) lease = null;
    },
    status: () => ({ state: 'ok', lastError: null }),
    async close() {
      handlers.clear();
      entries.clear();
    },
  };
}
