import type { SinkStatus } from '../core/sink.ts';

export interface LiveEntry {
  key: string;
  value: string;
  ttlSeconds: number;
}

export interface LeaseResult {
  held: boolean;
  /** Who holds it now; null when nobody does. */
  holder: string | null;
}

/**
 * State that agents of a site share and that may vanish at any moment. Two implementations behave alike: Redis, and
 * memory for a single agent without Redis. Every method but `subscribe`, `status` and `close` throws when the store
 * cannot be reached; none waits longer than two seconds for it.
 */
export interface LiveState {
  readonly kind: 'memory' | 'redis';
  /** Overwrites each key and its time to live. */
  put(entries: readonly LiveEntry[]): Promise<void>;
  get(key: string): Promise<string | null>;
  remove(keys: readonly string[]): Promise<void>;
  /** Operators' wishes and run-time registrations: field → JSON. */
  readIntents(): Promise<Record<string, string>>;
  /** Null deletes. Tells the other agents: `{ kind: 'intent', field }` on the events channel. */
  writeIntent(field: string, json: string | null): Promise<void>;
  publish(event: object): Promise<void>;
  /** Messages sent while the store is away are lost: re-read what they would have pointed to. */
  subscribe(handler: (event: unknown) => void): () => void;
  /** Takes the site's lease when it is free, extends it when `owner` holds it. */
  acquireLease(owner: string, ttlMs: number): Promise<LeaseResult>;
  /** Frees the lease when `owner` holds it. */
  releaseLease(owner: string): Promise<void>;
  status(): { state: SinkStatus['state']; lastError: string | null };
  close(): Promise<void>;
}
