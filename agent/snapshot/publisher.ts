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

/** The `epoch` and `seq` of a JSON document; null when they are missing or invalid. */
export function parseOrder(document: unknown): SnapshotOrder | null {
  if (typeof document !== 'object' || document === null) return null;
  const { epoch, seq } = document as { epoch?: unknown; seq?: unknown };
  return typeof epoch === 'number' &&
    typeof seq === 'number' &&
    Number.isSafeInteger(epoch) &&
    Number.isSafeInteger(seq)
    ? { epoch, seq }
    : null;
}

/** Milliseconds of a Retry-After header in seconds; undefined for a missing header or an HTTP date. */
export function parseRetryAfter(value: string | null): number | undefined {
  const seconds = Number(value);
  return value !== null && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

export const errorWithCause = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
};
