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

/** The names a Connection field lists, as far as it may; `upgrade` is told apart elsewhere. */
function listed(connection: string): ReadonlySet<string> {
  const names = connection.split(',').map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name) => name !== 'upgrade' && !NEVER_LISTED.has(name)));
}

/** Which of a message's fields may not be passed on; `names` in lower case, `connection` its Connection field. */
export function hopByHopFields(names: readonly string[], connection: string | null): string[] {
  const named = connection === null ? NONE : listed(connection);
  return names.filter((name) => HOP_BY_HOP.has(name) || named.has(name));
}

const NONE: ReadonlySet<string> = new Set();
