import { type Order, snapshotKey } from '../../shared/snapshot/snapshot.ts';
import { type KvNamespace, kvErrorWords, kvNamespaceUrl } from './kv-url.ts';
import { type Fetch, message, orderIn, type Published, type Publisher, retryAfterMs } from './publisher.ts';

export interface KvApiOptions extends KvNamespace {
  apiToken: string;
  site: string;
}

const TIMEOUT_MS = 10_000;
/** Past 1,200 calls in five minutes Cloudflare blocks the token for five minutes: after a 429 there is no use in asking. */
const BLOCKED_MS = 300_000;

/** Writes the snapshot to Workers KV through Cloudflare's REST API. It cannot compare orders, only hold the last one. */
export function createKvApiPublisher(options: KvApiOptions, fetch: Fetch): Publisher {
  const { apiToken, site } = options;
  const key = encodeURIComponent(snapshotKey(site));
  const url = `${kvNamespaceUrl(options)}/values/${key}`;
  const headers = { authorization: `Bearer ${apiToken}` };

  return {
    name: 'kvApi',
    arbitrates: false,
    async publish(sealed, _, kv): Promise<Published> {
      if (!kv) return { kind: 'skipped' };
      try {
        const response = await fetch(url, {
          method: 'PUT',
          headers: { ...headers, 'content-type': 'application/octet-stream' },
          body: sealed,
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const text = await response.text();
        if (response.status >= 200 && response.status < 300) return { kind: 'accepted' };
        const wait =
          retryAfterMs(response.headers.get('retry-after')) ??
          (response.status === 429 ? BLOCKED_MS : undefined);
        return {
          kind: 'failed',
          error: `KV API answered ${response.status}: ${kvErrorWords(text)}`,
          ...(wait === undefined ? {} : { retryAfterMs: wait }),
        };
      } catch (error) {
        return { kind: 'failed', error: `KV API: ${message(error)}` };
      }
    },
    async current(): Promise<Order | null> {
      const response = await fetch(url, { method: 'GET', headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
      const text = await response.text();
      if (response.status === 404) return null;
      if (response.status !== 200)
        throw new Error(`KV API answered ${response.status}: ${kvErrorWords(text)}`);
      const newline = text.indexOf('\n');
      try {
        return orderIn(JSON.parse(text.slice(newline + 1)));
      } catch {
        return null;
      }
    },
  };
}
