/**
 * The `Host` field that both ends accept: a name or an address, and a port. Narrower than RFC 3986 §3.2.2: a list, an
 * encoded name or user information could mean one host here and another one elsewhere.
 */
export const HOST_PATTERN = '^([A-Za-z0-9._-]{1,255}|\\[[0-9A-Fa-f:.]{2,45}\\])(:[0-9]{1,5})?$';
const HOST = new RegExp(HOST_PATTERN);

/**
 * Printable ASCII. A backslash, which `fetch` reads as a slash, and the other characters that RFC 3986 excludes are not
 * in a path.
 */
const TARGET = /^\/[!$-;=@-Z[\]_a-z|~]*(?:\?[!"$-~]*)?$/;

/** A segment that may be `.` or `..`, which the URL parser of `fetch` resolves. */
const DOT_SEGMENT = /\/(?:\.|%2e)/i;

export interface RequestUrl {
  readonly proto: string;
  /** In lower case. Includes the port, if any. */
  readonly host: string;
  /** Path and query. */
  readonly target: string;
}

/**
 * The URL that `fetch` will send. The runtime joins the `Host` field and the request target as the client wrote them and
 * resolves them only in `fetch`, so decisions by path need the resolved form. Null for an invalid host or target.
 */
export function parseRequestUrl(raw: string, hostField: string | null): RequestUrl | null {
  const schemeEnd = raw.indexOf('://');
  const slash = raw.indexOf('/', schemeEnd + 3);
  const host = raw.slice(schemeEnd + 3, slash);
  const target = raw.slice(slash);
  // Both: a slash in the field moves the rest of it into the path of the URL.
  if (slash < 0 || !HOST.test(host) || !TARGET.test(target)) return null;
  if (hostField !== null && hostField !== host && !HOST.test(hostField)) return null;
  return {
    proto: raw.slice(0, schemeEnd),
    host: host.toLowerCase(),
    target: DOT_SEGMENT.test(target) ? resolved(target) : target,
  };
}

function resolved(target: string): string {
  const { pathname, search } = new URL(`http://x${target}`);
  return pathname + search;
}

/** The name that routes match, in lower case, without port and without the dots that end a fully qualified name. */
export function hostName(host: string): string {
  const colon = host.lastIndexOf(':');
  const name = colon < 0 || host.endsWith(']') ? host : host.slice(0, colon);
  return (name.endsWith('.') ? name.replace(/\.+$/, '') : name).toLowerCase();
}
