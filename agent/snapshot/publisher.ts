import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';

/** A destination of the snapshot. */
export interface SnapshotPublisher {
  readonly name: 'ingest' | 'kvApi';
  /** Refuses an order that is not greater than the one it holds, and returns the one it holds. */
  readonly arbitrates: boolean;
  /** Never rejects. `kv: false`: do not write to KV. */
  publish(sealed: Uint8Array<ArrayBuffer>, order: SnapshotOrder, kv: boolean): Promise<PublishResult>;
  /** The order it holds; null: none. Rejects when it cannot be read. */
  readOrder?(): Promise<SnapshotOrder | null>;
}

export type PublishResult =
  | { kind: 'accepted' }
  | { kind: 'skipped' }
  | { kind: 'superseded'; current: SnapshotOrder }
  | { kind: 'failed'; error: string; retryAfterMs?: number };

export type HttpFetch = (
  url: string,
  init: {
    method: string;
    headers?: { [name: string]: string };
    body?: Uint8Array<ArrayBuffer>;
    signal: AbortSignal;
  },
) => Promise<{ status: number; headers: { get(name: string): string | null }; text(): Promise<string> }>;

/** The `epoch` and `seq` of a JSON document from a peer; null when they are missing or invalid. */
export function parseOrder(document: unknown): SnapshotOrder | null {
  if (typeof document !== 'object' || document === null) return null;
  const { epoch, seq } = document as { epoch?: unknown; seq?: unknown };
  return isOrderNumber(epoch) && isOrderNumber(seq) ? { epoch, seq } : null;
}

/** Far above any real epoch. A greater number from a peer would leave no epoch to claim. */
const MAX_ORDER_NUMBER = 2 ** 52;

const isOrderNumber = (value: unknown): value is number =>
  Number.isSafeInteger(value) && typeof value === 'number' && value >= 0 && value < MAX_ORDER_NUMBER;

/** A proxy in front of the edge must not stop publishing for a day. Cloudflare's own limit lasts five minutes. */
const MAX_RETRY_AFTER_MS = 300_000;

/** Milliseconds of a Retry-After header in seconds, at most five minutes; undefined for any other value. */
export function parseRetryAfter(value: string | null): number | undefined {
  if (value === null || !/^\d+$/.test(value.trim())) return undefined;
  return Math.min(Number(value) * 1000, MAX_RETRY_AFTER_MS);
}

export const errorWithCause = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
};
