import type { SinkStatus } from '../core/sink.ts';
import type { LiveKeys } from './keys.ts';

export interface LiveEntry {
  key: string;
  value: string;
  ttlSeconds: number;
}

export interface LeaseResult {
  held: boolean;
  /** The owner that holds it now; null: none. */
  holder: string | null;
}

/**
 * State that the agents of a site share and that may be lost at any time. It has two implementations with the same
 * behaviour: Redis, and memory for a single agent without Redis. All methods except `subscribe`, `status` and `close`
 * reject when the store is unavailable, after two seconds at most.
 */
export interface LiveState {
  readonly kind: 'memory' | 'redis';
  /** The names of the site's keys. */
  readonly keys: LiveKeys;
  /** Overwrites each key and its TTL. */
  put(entries: readonly LiveEntry[]): Promise<void>;
  get(key: string): Promise<string | null>;
  remove(keys: readonly string[]): Promise<void>;
  /** Operators' orders and run-time registrations: field → JSON. */
  readIntents(): Promise<Record<string, string>>;
  /** Writes one intent; null deletes it. Publishes `{ kind: 'intent', field }` on the events channel. */
  writeIntent(field: string, json: string | null): Promise<void>;
  publish(event: object): Promise<void>;
  /**
   * Returns a function that unsubscribes. Events published while the store is unavailable are lost, so re-read the state
   * that they announce.
   */
  subscribe(handler: (event: unknown) => void): () => void;
  /** Acquires the site's leader lease when it is free; renews it when `owner` holds it. */
  acquireLease(owner: string, ttlMs: number): Promise<LeaseResult>;
  /** Releases the lease when `owner` holds it. */
  releaseLease(owner: string): Promise<void>;
  status(): { state: SinkStatus['state']; lastError: string | null };
  close(): Promise<void>;
}
