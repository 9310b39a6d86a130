import { hopByHopFields } from '../../shared/hop-by-hop.ts';
import { acceptsStale, isStorable } from '../../shared/stale-cache.ts';
import type { IncomingRequest } from '../steps/guard.ts';
import { BoundedCache } from './bounded-cache.ts';

/** Where the copy carries what it must be given back with. */
const STORED_AT = 'x-acgs-stored-at';
const ORIGINAL_CONTROL = 'x-acgs-cache-control';
/** The same answer is stored again at most this often. */
const RESTORE_AFTER_MS = 10_000;

/** Last good answers in the colo's cache, for when no instance can answer. */
export class StaleCache {
  readonly #storedAt = new BoundedCache<number>(2_048);

  /** Keeps a copy of a cacheable answer; returns what to answer with. The copy is read in the background. */
  store(incoming: IncomingRequest, response: Response, maxAgeMs: number, ctx: ExecutionContext): Response {
    if (
      maxAgeMs <= 0 ||
      !isStorable({ method: incoming.method, headers: incoming.request.headers }, response)
    ) {
      return response;
    }
    const key = keyOf(incoming);
    const now = incoming.startedAt;
    if (now - (this.#storedAt.get(key) ?? 0) < RESTORE_AFTER_MS) return response;
    this.#storedAt.set(key, now);
    const copy = new Response(response.clone().body, response);
    const names = [...copy.headers.keys()];
    const own = names.filter((name) => name.startsWith('x-acgs-'));
    for (const name of [...own, ...hopByHopFields(names, copy.headers.get('connection'))])
      copy.headers.delete(name);
    copy.headers.set(ORIGINAL_CONTROL, copy.headers.get('cache-control') ?? '');
    copy.headers.set('cache-control', `public, max-age=${Math.ceil(maxAgeMs / 1000)}`);
    copy.headers.set(STORED_AT, String(now));
    copy.headers.delete('vary');
    ctx.waitUntil(put(key, copy));
    return response;
  }

  /** The kept answer, marked stale; null when there is none young enough, or the client insists on a fresh one. */
  async find(incoming: IncomingRequest, maxAgeMs: number): Promise<Response | null> {
    if (maxAgeMs <= 0 || !acceptsStale({ method: incoming.method, headers: incoming.request.headers }))
      return null;
    const kept = await match(keyOf(incoming));
    const ageMs = Date.now() - Number(kept?.headers.get(STORED_AT));
    if (!kept || !(ageMs <= maxAgeMs)) return null;
    const response = new Response(kept.body, kept);
    response.headers.set('cache-control', response.headers.get(ORIGINAL_CONTROL) ?? 'no-store');
    response.headers.delete(ORIGINAL_CONTROL);
    response.headers.delete(STORED_AT);
    response.headers.delete('cf-cache-status');
    response.headers.set('age', String(Math.floor(ageMs / 1000)));
    // RFC 9211: a hit past its freshness, given because going on failed.
    response.headers.set('cache-status', 'acgs-lb; hit; detail=stale-if-error');
    response.headers.set('warning', '110 acgs-lb "Response is Stale"');
    response.headers.set('x-acgs-stale', '1');
    return response;
  }
}

/** A runtime without a cache throws: losing a spare copy costs nothing now. */
async function put(key: string, copy: Response): Promise<void> {
  try {
    await caches.default.put(key, copy);
  } catch {
    // It is stored again next time.
  }
}

async function match(key: string): Promise<Response | undefined> {
  try {
    return await caches.default.match(key);
  } catch {
    return undefined;
  }
}

function keyOf(incoming: IncomingRequest): string {
  const accepted = incoming.request.headers.get('accept-encoding') ?? '';
  // A copy is only for those who accept the same codings.
  const codings = encodeURIComponent(accepted.replaceAll(' ', '').toLowerCase().slice(0, 100));
  return `https://stale.acgs-lb.invalid/~${codings}/${incoming.host}${incoming.target}`;
}
