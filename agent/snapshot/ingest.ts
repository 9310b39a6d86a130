import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
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
    async publish(sealed, _, kv): Promise<PublishResult> {
      const target = kv ? url.href : `${url.href}?kv=0`;
      try {
        const response = await fetch(target, {
          method: 'PUT',
          headers: { 'content-type': 'application/octet-stream' },
          body: sealed,
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const text = await response.text();
        if (response.status >= 200 && response.status < 300) return { kind: 'accepted' };
        const current = response.status === 409 ? parseOrder(parse(text)) : null;
        if (current) return { kind: 'superseded', current };
        const wait = parseRetryAfter(response.headers.get('retry-after'));
        return {
          kind: 'failed',
          error: `${url.origin} answered ${response.status}: ${text.slice(0, 200)}`,
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
