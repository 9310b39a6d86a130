/** What the URL parser of `fetch` changes: dot segments, backslashes, a fragment, white space. */
const UNRESOLVED = /[\\#\s]|\/(?:\.|%2e)/i;
/** RFC 3986 §3.2.2, without user information. */
const AUTHORITY = /^[A-Za-z0-9._~!$&'()*+,;=:[\]%-]+$/;

export interface RequestUrl {
  readonly proto: string;
  /** Includes the port, if any. */
  readonly host: string;
  /** Path and query. */
  readonly target: string;
}

/**
 * The URL that `fetch` will send. The runtime passes the URL as the client wrote it and resolves it only in `fetch`, so
 * decisions by path need the resolved form. Null when there is no path (`OPTIONS *`) or no valid host.
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
