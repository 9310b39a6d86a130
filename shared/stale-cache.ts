/** Which responses may be stored and served stale when no instance responds (RFC 9111 §4.2.4, RFC 5861). */

type Fields = { get(name: string): string | null };

const MAX_BYTES = 1024 * 1024;

/** Whether a response may be stored: a shared cache may store it, it allows caching explicitly, and it is at most 1 MiB. */
export function isStorable(
  request: { method: string; headers: Fields },
  response: { status: number; headers: Fields },
): boolean {
  // Fast path: most API responses have no Cache-Control.
  const control = response.headers.get('cache-control');
  if (control === null || request.method !== 'GET' || response.status !== 200) return false;
  if (/\b(?:no-store|private|no-cache|must-revalidate|proxy-revalidate)\b/i.test(control)) return false;
  if (!/\b(?:public|max-age=[1-9]|s-maxage=[1-9]|stale-if-error=[1-9])/i.test(control)) return false;
  if (request.headers.get('authorization') !== null || request.headers.get('range') !== null) return false;
  if (response.headers.get('set-cookie') !== null) return false;
  const vary = response.headers.get('vary');
  if (vary !== null && !/^\s*accept-encoding\s*$/i.test(vary)) return false;
  const length = response.headers.get('content-length');
  return length !== null && Number(length) <= MAX_BYTES;
}

/** Whether the request accepts a stale response: it does not demand a fresh one, a range or authorization. */
export function acceptsStale(request: { method: string; headers: Fields }): boolean {
  if (request.method !== 'GET' || request.headers.get('range') !== null) return false;
  if (request.headers.get('authorization') !== null) return false;
  return !/\b(?:no-cache|no-store|max-age=0)\b/i.test(request.headers.get('cache-control') ?? '');
}
