import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';

/** A place the snapshot is published to. */
export interface SnapshotPublisher {
  readonly name: 'ingest' | 'kvApi';
  /** Refuses a pair that is not greater than the one it holds, and says which that is. */
  readonly arbitrates: boolean;
  /** Never rejects. `kv: false`: the fast lane only, the day's KV writes are spent. */
  publish(sealed: Uint8Array<ArrayBuffer>, order: SnapshotOrder, kv: boolean): Promise<PublishResult>;
  /** The order held there; null: none. Throws when it cannot be learned. */
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

export function parseRetryAfter(value: string | null): number | undefined {
  const seconds = Number(value);
  return value !== null && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

export const errorWithCause = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
};
