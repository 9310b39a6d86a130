/** How values from the operator's file become words of HAProxy's configuration. */

const PLAIN = /^[A-Za-z0-9_.:/@%+=,~*()[\]{}!?&;<>|^-]+$/;

/**
 * One argument. Anything HAProxy's parser could take for syntax (blank, quote, `$`, `#`, backslash) is written as
 * `\xHH`, byte by byte, so no value can end its argument or its line.
 */
export function quoteArgument(text: string): string {
  if (text === '') return '""';
  if (PLAIN.test(text)) return text;
  let out = '';
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte);
    out += PLAIN.test(char) ? char : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return out;
}

/** One argument that HAProxy reads as a log format: `%` would start a variable. */
export const quoteLogFormat = (text: string): string => quoteArgument(text.replaceAll('%', '%%'));

/** Milliseconds as HAProxy writes durations. */
export const formatDuration = (ms: number): string =>
  ms % 1000 === 0 ? `${ms / 1000}s` : `${Math.max(1, Math.round(ms))}ms`;

/** A listening address as one can connect to it: `*:9400` and `:9400` become the loopback address. */
export function connectAddress(bind: string): { host: string; port: number; text: string } {
  const colon = bind.lastIndexOf(':');
  const port = Number(bind.slice(colon + 1));
  const bare = bind.slice(0, colon).replace(/^\[|\]$/g, '');
  const host = bare === '' || bare === '*' || bare === '0.0.0.0' ? '127.0.0.1' : bare === '::' ? '::1' : bare;
  return { host, port, text: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}` };
}

/** Where HAProxy connects to for an instance's URL. `localhost` never goes through DNS. */
export function serverAddress(url: string): { host: string; port: number; text: string; named: boolean } {
  const { hostname, port: given, protocol } = new URL(url);
  const port = Number(given || (protocol === 'https:' ? 443 : 80));
  const bare = hostname.replace(/^\[|\]$/g, '');
  const host = bare === 'localhost' ? '127.0.0.1' : bare;
  const literal = host.includes(':') || /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
  return { host, port, text: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, named: !literal };
}

/** A HAProxy socket as the configuration names it, a path or host:port, for `net.connect`. */
export function socketAddress(where: string): { path: string } | { host: string; port: number } {
  if (where.startsWith('/')) return { path: where };
  const { host, port } = connectAddress(where);
  return { host, port };
}
