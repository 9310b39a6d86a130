import { elapsedMs } from '../../shared/elapsed.ts';
import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import { acceptsStale, ageSeconds, isStorable, servableMs } from '../../shared/stale-cache.ts';
import type { IncomingRequest } from '../incoming-request.ts';
import { BoundedCache } from './bounded-cache.ts';
import { cacheStores } from './location-cache.ts';

/** Headers of the stored copy that hold what `find` needs. */
const STORED_AT = 'x-acgs-stored-at';
const SERVABLE_UNTIL = 'x-acgs-servable-until';
const ORIGINAL_CACHE_CONTROL = 'x-acgs-cache-control';
/** They describe the client whose response is stored. The gateway adds them to the instance's own. */
const PER_CLIENT_FIELDS = ['ratelimit', 'ratelimit-policy', 'traceparent'];
/** A response is stored again at most this often. */
const STORE_INTERVAL_MS = 10_000;

/** The last good responses, in the cache of the Cloudflare location. They are served when no instance can answer. */
export class StaleCache {
  readonly #storedAt = new BoundedCache<number>(2_048);
  #isProbed = false;

  /** Stores a copy of a cacheable response, in the background. Returns the response to send. */
  store(incoming: IncomingRequest, response: Response, maxAgeMs: number, ctx: ExecutionContext): Response {
    if (maxAgeMs <= 0 || !isStorable({ method: incoming.method, headers: incoming.fields }, response)) {
      return response;
    }
    const keepMs = servableMs(response.headers, maxAgeMs);
    if (keepMs <= 0) return response;
    const key = keyOf(incoming);
    const now = incoming.startedAt;
    if (elapsedMs(this.#storedAt.get(key) ?? 0, now) < STORE_INTERVAL_MS) return response;
    this.#storedAt.set(key, now);
    const copy = new Response(response.clone().body, response);
    const names = [...copy.headers.keys()];
    const own = names.filter((name) => name.startsWith('x-acgs-'));
    const hopByHop = hopByHopFields(names, copy.headers.get('connection'));
    for (const name of [...own, ...hopByHop, ...PER_CLIENT_FIELDS]) copy.headers.delete(name);
    copy.headers.set(ORIGINAL_CACHE_CONTROL, copy.headers.get('cache-control') ?? '');
    copy.headers.set('cache-control', `public, max-age=${Math.ceil(keepMs / 1000)}`);
    copy.headers.set(STORED_AT, String(now));
    copy.headers.set(SERVABLE_UNTIL, String(now + keepMs));
    copy.headers.delete('vary');
    ctx.waitUntil(this.#put(key, copy));
    return response;
  }

  /** Ignores errors: the response is stored again later. Logs once if the runtime has no cache. */
  async #put(key: string, copy: Response): Promise<void> {
    const whole = await withWholeBody(copy).catch(() => null);
    if (!whole) return;
    await caches.default.put(key, whole).catch(() => {});
    if (this.#isProbed) return;
    this.#isProbed = true;
    if (!(await cacheStores())) {
      const detail = 'The Cache API stores nothing here, as on workers.dev: there are no stale responses.';
      console.warn(JSON.stringify({ event: 'no-cache', detail }));
    }
  }

  /** The stored response, marked as stale. Null: none is young enough, or the client refuses stale responses. */
  async find(incoming: IncomingRequest, maxAgeMs: number): Promise<Response | null> {
    if (maxAgeMs <= 0 || !acceptsStale({ method: incoming.method, headers: incoming.fields })) return null;
    const stored = await match(keyOf(incoming));
    const now = Date.now();
    const ageMs = now - Number(stored?.headers.get(STORED_AT));
    if (!stored || !(ageMs <= maxAgeMs) || !(now <= Number(stored.headers.get(SERVABLE_UNTIL)))) return null;
    const response = new Response(stored.body, stored);
    response.headers.set('cache-control', response.headers.get(ORIGINAL_CACHE_CONTROL) ?? 'no-store');
    response.headers.delete(ORIGINAL_CACHE_CONTROL);
    response.headers.delete(STORED_AT);
    response.headers.delete(SERVABLE_UNTIL);
    response.headers.delete('cf-cache-status');
    response.headers.set('age', String(ageSeconds(response.headers) + Math.floor(ageMs / 1000)));
    // RFC 9211: a stale hit, served because forwarding failed.
    response.headers.set('cache-status', 'acgs-lb; hit; detail=stale-if-error');
    response.headers.set('warning', '110 acgs-lb "Response is Stale"');
    response.headers.set('x-acgs-stale', '1');
    return response;
  }
}

/**
 * The response with its whole body. Null if the body broke off: some caches would keep the part that arrived and serve it
 * as a complete response. A body with a content coding is not read, because that would decode it; a decoder notices the
 * missing end.
 */
async function withWholeBody(response: Response): Promise<Response | null> {
  if (response.headers.get('content-encoding') !== null) return response;
  const body = await response.arrayBuffer();
  return body.byteLength === Number(response.headers.get('content-length'))
    ? new Response(body, response)
    : null;
}

async function match(key: string): Promise<Response | undefined> {
  try {
    return await caches.default.match(key);
  } catch {
    return undefined;
  }
}

function keyOf(incoming: IncomingRequest): string {
  const accepted = incoming.fields.get('accept-encoding') ?? '';
  // A stored response suits only clients that accept the same codings.
  const codings = encodeURIComponent(accepted.replaceAll(' ', '').toLowerCase()).slice(0, 300);
  return `https://stale.acgs-lb.invalid/~${codings}/${incoming.host}${incoming.target}`;
}
