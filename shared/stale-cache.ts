/** Which responses may be stored and served when no instance responds (RFC 9111 §3 and §4.2.4, RFC 5861). */

type Fields = { get(name: string): string | null; keys(): Iterable<string> };

const MAX_BYTES = 1024 * 1024;

/**
 * Request fields that identify no user. Any other field may be a credential, such as an API key or a session id, and then
 * the response may be meant for its owner only, whatever it says about caching.
 */
const HARMLESS_FIELD =
  /^(?:accept|accept-.*|user-agent|host|connection|keep-alive|referer|origin|dnt|priority|save-data|upgrade-insecure-requests|sec-(?:fetch|ch|gpc|purpose).*|cache-control|pragma|if-.*|content-length|date|via|forwarded|x-forwarded-(?:for|proto|host)|x-real-ip|true-client-ip|x-request-id|traceparent|tracestate|cdn-loop|cf-(?:connecting-ip|ipcountry|ray|visitor|ew-via|worker)|x-acgs-.*)$/;

/** The affinity cookie alone: it names an instance, no user. */
const ONLY_AFFINITY = /^acgs_affinity=[^;]*$/;

export const hasCredentials = (headers: Fields): boolean =>
  [...headers.keys()].some((name) =>
    name === 'cookie' ? !ONLY_AFFINITY.test(headers.get('cookie') ?? '') : !HARMLESS_FIELD.test(name),
  );

/** What forbids to store a response, or to serve it stale. Also as a part of another directive: better not stored. */
const FORBIDS_STORING = /\b(?:no-store|private|no-cache|must-revalidate|proxy-revalidate)\b/i;

/** What the response says to caches like this one only (RFC 9213 §2.1, and the older Surrogate-Control). */
const TARGETED_FIELDS = ['cdn-cache-control', 'cloudflare-cdn-cache-control', 'surrogate-control'];

/**
 * Whether a response may be stored: it says that it is for everyone, a shared cache may store it, it is at most 1 MiB, and
 * the request has no credentials.
 */
export function isStorable(
  request: { method: string; headers: Fields },
  response: { status: number; headers: Fields },
): boolean {
  // Fast path: most API responses have no Cache-Control.
  const control = response.headers.get('cache-control');
  if (control === null || request.method !== 'GET' || response.status !== 200) return false;
  if (FORBIDS_STORING.test(control)) return false;
  if (TARGETED_FIELDS.some((name) => FORBIDS_STORING.test(response.headers.get(name) ?? ''))) return false;
  if (!isPublic(control) && !(seconds(control, 's-maxage') ?? 0)) return false;
  if (request.headers.get('range') !== null || hasCredentials(request.headers)) return false;
  if (response.headers.get('set-cookie') !== null) return false;
  const vary = response.headers.get('vary');
  if (vary !== null && !/^\s*accept-encoding\s*$/i.test(vary)) return false;
  const length = response.headers.get('content-length');
  return length !== null && Number(length) <= MAX_BYTES;
}

/**
 * How long after its arrival a response may be served, at most `maxMs`. `s-maxage` forbids stale responses (RFC 9111
 * §5.2.2.10); `stale-if-error` says for how long they are allowed.
 */
export function servableMs(headers: Fields, maxMs: number): number {
  const control = headers.get('cache-control') ?? '';
  const shared = seconds(control, 's-maxage');
  const stale = seconds(control, 'stale-if-error');
  const allowed = shared ?? (stale === null ? null : (seconds(control, 'max-age') ?? 0) + stale);
  if (allowed === null) return maxMs;
  const age = ageSeconds(headers);
  return Math.max(0, Math.min(maxMs, (allowed - age) * 1_000));
}

/** The first value of `Age`; an invalid one is ignored (RFC 9111 §5.1). */
export const ageSeconds = (headers: Fields): number =>
  Number(/^\s*(\d{1,10})\s*(?:,|$)/.exec(headers.get('age') ?? '')?.[1] ?? 0);

/** Whether the request accepts a stale response: it does not demand a fresh one, a range or authorization. */
export function acceptsStale(request: { method: string; headers: Fields }): boolean {
  if (request.method !== 'GET' || request.headers.get('range') !== null) return false;
  if (request.headers.get('authorization') !== null) return false;
  const control = request.headers.get('cache-control') ?? '';
  return !/\b(?:no-cache|no-store|max-age=0|only-if-cached)\b/i.test(control);
}

/** Whether a cache must not forward the request (RFC 9111 §5.2.1.7). It always forwards unsafe requests (§4). */
export const wantsStoredOnly = (method: string, headers: Fields): boolean =>
  (method === 'GET' || method === 'HEAD') && isOnlyIfCached(headers);

export const isOnlyIfCached = (headers: Fields): boolean =>
  /\bonly-if-cached\b/i.test(headers.get('cache-control') ?? '');

/** Whether a shared cache may keep the response: then it must not carry anything for one client. */
export function isSharedCacheable(headers: Fields, now: number): boolean {
  const control = headers.get('cache-control');
  if (control === null) return Date.parse(headers.get('expires') ?? '') > now;
  if (FORBIDS_SHARING.test(control)) return false;
  return isPublic(control) || (seconds(control, 's-maxage') ?? seconds(control, 'max-age') ?? 0) > 0;
}

const FORBIDS_SHARING = /\b(?:no-store|private)\b/i;

/** Whether no shared cache keeps the response, not even one that guesses for how long (RFC 9111 §4.2.2). */
export const isPrivate = (headers: Fields): boolean =>
  FORBIDS_SHARING.test(headers.get('cache-control') ?? '');

/** The directives of `Cache-Control` (RFC 9111 §5.2), in lower case. A comma in quotes does not end a directive. */
const directives = (control: string): string[] =>
  (control.match(/(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))+/g) ?? []).map((one) => one.trim().toLowerCase());

const isPublic = (control: string): boolean => directives(control).includes('public');

/** The value of a directive, quoted or not, and the smallest of several; null: it is absent or invalid. */
function seconds(control: string, directive: string): number | null {
  const form = new RegExp(`^${directive}="?(\\d{1,10})"?$`);
  const values = directives(control).map((one) => form.exec(one)?.[1]);
  const valid = values.filter((value) => value !== undefined).map(Number);
  return valid.length > 0 ? Math.min(...valid) : null;
}
