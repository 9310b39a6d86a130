import { type SnapshotOrder, snapshotKey } from '../../shared/snapshot/snapshot.ts';
import { isKvSuccess, type KvNamespace, kvErrorText, kvNamespaceUrl } from './kv-rest.ts';
import {
  errorWithCause,
  type HttpFetch,
  type PublishResult,
  parseOrder,
  parseRetryAfter,
  type SnapshotPublisher,
} from './publisher.ts';

interface KvApiOptions extends KvNamespace {
  apiToken: string;
  site: string;
}

const TIMEOUT_MS = 10_000;
/** After 1,200 calls in five minutes Cloudflare blocks the token for five minutes: retrying earlier is useless. */
const BLOCKED_MS = 300_000;

/** Writes the snapshot to Workers KV through Cloudflare's REST API. KV keeps the last write and compares no orders. */
export function createKvApiPublisher(options: KvApiOptions, fetch: HttpFetch): SnapshotPublisher {
  const { apiToken, site } = options;
  const key = encodeURIComponent(snapshotKey(site));
  const url = `${kvNamespaceUrl(options)}/values/${key}`;
  const headers = { authorization: `Bearer ${apiToken}` };

  return {
    name: 'kvApi',
    arbitrates: false,
    async publish(sealed, _, kv): Promise<PublishResult> {
      if (!kv) return { kind: 'skipped' };
      try {
        const response = await fetch(url, {
          method: 'PUT',
          headers: { ...headers, 'content-type': 'application/octet-stream' },
          body: sealed,
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const text = await response.text();
        if (response.status === 200 && isKvSuccess(text)) return { kind: 'accepted' };
        const wait =
          parseRetryAfter(response.headers.get('retry-after')) ??
          (response.status === 429 ? BLOCKED_MS : undefined);
        return {
          kind: 'failed',
          error: `KV API answered ${response.status}: ${kvErrorText(text)}`,
          ...(wait === undefined ? {} : { retryAfterMs: wait }),
        };
      } catch (error) {
        return { kind: 'failed', error: `KV API: ${errorWithCause(error)}` };
      }
    },
    async readOrder(): Promise<SnapshotOrder | null> {
      const response = await fetch(url, { method: 'GET', headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
      const text = await response.text();
      if (response.status === 404) return null;
      if (response.status !== 200)
        throw new Error(`KV API answered ${response.status}: ${kvErrorText(text)}`);
      const newline = text.indexOf('\n');
      try {
        return parseOrder(JSON.parse(text.slice(newline + 1)));
      } catch {
        return null;
      }
    },
  };
}
