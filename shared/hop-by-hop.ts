/** Hop-by-hop header fields (RFC 9110 §7.6.1), never forwarded in either direction. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/**
 * End-to-end fields that are forwarded even when Connection lists them, so that neither side can remove a field that
 * security depends on.
 */
export const NEVER_LISTED: ReadonlySet<string> = new Set([
  'host',
  'cookie',
  'set-cookie',
  'authorization',
  'cache-control',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-request-id',
  'forwarded',
  'via',
]);

/** The usual values of a Connection field. They list no further name. */
const USUAL = /^(?:keep-alive|close|upgrade)$/i;

/** The names that a Connection field adds to the hop-by-hop ones, without `upgrade`, which the caller handles. */
function listed(connection: string): ReadonlySet<string> {
  if (USUAL.test(connection)) return NONE;
  const names = connection.split(',').map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name) => name !== 'upgrade' && !NEVER_LISTED.has(name)));
}

/** Not `HOP_BY_HOP.has`: the engine interns each text that a Set is asked for, which costs ten times as much. */
const IS_HOP_BY_HOP = new RegExp(`^(?:${[...HOP_BY_HOP].join('|')})$`);

/** The names that must not be forwarded. `names` are in lower case, `connection` is the Connection field. */
export function hopByHopFields(names: readonly string[], connection: string | null): string[] {
  const named = connection === null ? NONE : listed(connection);
  return names.filter((name) => IS_HOP_BY_HOP.test(name) || (named !== NONE && named.has(name)));
}

const NONE: ReadonlySet<string> = new Set();
