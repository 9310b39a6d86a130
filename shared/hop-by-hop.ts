/** Hop-by-hop fields (RFC 9110 §7.6.1): about one connection, never passed on, in either direction. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** `name` in lower case. */
export const isHopByHop = (name: string): boolean => HOP_BY_HOP.has(name);

/**
 * What Connection may not name: neither side may have an end-to-end field dropped by listing it, least of all one that
 * carries trust.
 */
const NEVER_LISTED: ReadonlySet<string> = new Set([
  'host',
  'cookie',
  'set-cookie',
  'authorization',
  'cache-control',
  'content-type',
  'content-length',
  'content-encoding',
  'x-forwarded-for',
  'forwarded',
  'via',
]);

/** Without the fields that a Connection field names. */
export function withoutListed<T extends readonly [string, string]>(fields: T[], connection: string): T[] {
  const listed = new Set(
    connection
      .split(',')
      .map((name) => name.trim().toLowerCase())
      .filter((name) => !NEVER_LISTED.has(name)),
  );
  return fields.filter(([name]) => !listed.has(name) || name === 'upgrade');
}
