/** What the URL parser of `fetch` would change: dot segments, backslashes, a fragment. */
const UNRESOLVED = /[\\#\s]|\/(?:\.|%2e)/i;
/** RFC 3986 §3.2.2, less user information. */
const AUTHORITY = /^[A-Za-z0-9._~!$&'()*+,;=:[\]%-]+$/;

export interface RequestUrl {
  readonly proto: string;
  /** With a port if there is one. */
  readonly host: string;
  /** Path and query. */
  readonly target: string;
}

/**
 * A request's URL as it will be sent on. The runtime hands it over as the client wrote it, Host field and all, and
 * resolves it only in `fetch`: whatever is decided by the path must be decided by what comes out of that. Null when it
 * names no path (`OPTIONS *`), or its host is none.
 */
export function parseRequestUrl(raw: string): RequestUrl | null {
  const url = UNRESOLVED.test(raw) ? resolve(raw) : raw;
  if (url === null) return null;
  const schemeEnd = url.indexOf('://');
  const slash = url.indexOf('/', schemeEnd + 3);
  const host = url.slice(schemeEnd + 3, slash);
  if (slash < 0 || !AUTHORITY.test(host)) return null;
  return { proto: url.slice(0, schemeEnd), host, target: url.slice(slash) };
}

function resolve(raw: string): string | null {
  if (!URL.canParse(raw)) return null;
  const url = new URL(raw);
  url.hash = '';
  return url.href;
}
