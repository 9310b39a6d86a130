import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import {
  errorWithCause,
  type HttpFetch,
  type PublishResult,
  parseOrder,
  parseRetryAfter,
  type SnapshotPublisher,
} from './publisher.ts';

const TIMEOUT_MS = 5_000;

/** Publishes to the Hub with `PUT /__acgs/snapshot/<site>`. The snapshot's signature authenticates the request. */
export function createIngestPublisher(edgeUrl: string, site: string, fetch: HttpFetch): SnapshotPublisher {
  const url = new URL(`/__acgs/snapshot/${site}`, edgeUrl);
  return {
    name: 'ingest',
    arbitrates: true,
    async publish(sealed, order, kv): Promise<PublishResult> {
      const target = kv ? url.href : `${url.href}?kv=0`;
      try {
        const response = await fetch(target, {
          method: 'PUT',
          headers: { 'content-type': 'application/octet-stream' },
          body: sealed,
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const text = await response.text();
        const named = parseOrder(parse(text));
        if (response.status === 200 && named && compareSnapshotOrder(named, order) === 0) {
          return { kind: 'accepted' };
        }
        const current = response.status === 409 ? named : null;
        if (current) return { kind: 'superseded', current };
        const wait = parseRetryAfter(response.headers.get('retry-after'));
        return {
          kind: 'failed',
          error: `${url.origin} answered ${unexpected(response.status)}: ${text.slice(0, 200)}`,
          ...(wait === undefined ? {} : { retryAfterMs: wait }),
        };
      } catch (error) {
        return { kind: 'failed', error: `${url.origin}: ${errorWithCause(error)}` };
      }
    },
    async readOrder(): Promise<SnapshotOrder | null> {
      const response = await fetch(url.href, { method: 'GET', signal: AbortSignal.timeout(TIMEOUT_MS) });
      const text = await response.text();
      const order = response.status === 200 ? parseOrder(parse(text)) : null;
      if (!order) throw new Error(`${url.origin} answered ${response.status}`);
      return order;
    },
  };
}

/** A proxy, a parked domain or a login page in front of the edge also answers 200. */
const unexpected = (status: number): string =>
  status === 200 ? '200, but does not confirm the snapshot' : String(status);

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
