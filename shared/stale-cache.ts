/** Which answers may be kept to be given, marked stale, when nothing else answers (RFC 9111 §4.2.4, RFC 5861). */

type Fields = { get(name: string): string | null };

const MAX_BYTES = 1024 * 1024;

/** Only what a shared cache may store anyway, is small, and says itself that it may be cached. */
export function isStorable(
  request: { method: string; headers: Fields },
  response: { status: number; headers: Fields },
): boolean {
  // The commonest reason first: most answers of an API say nothing of caching.
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

/** May a client be given a stale answer? One that insists on a fresh one may not. */
export function acceptsStale(request: { method: string; headers: Fields }): boolean {
  if (request.method !== 'GET' || request.headers.get('range') !== null) return false;
  if (request.headers.get('authorization') !== null) return false;
  return !/\b(?:no-cache|no-store|max-age=0)\b/i.test(request.headers.get('cache-control') ?? '');
}
