import { memoize } from '../../lib/memoize.ts';

export interface HostPort {
  host: string;
  port: number;
  /** `host:port`, with an IPv6 host in brackets. */
  text: string;
}

const toAddress = (host: string, port: number): HostPort => ({
  host,
  port,
  text: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
});

/** The address a client uses to reach a listener. A wildcard (`*:9400`, `:9400`) becomes the loopback address. */
export function connectAddress(bind: string): HostPort {
  const colon = bind.lastIndexOf(':');
  const host = bind.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(bind.slice(colon + 1));
  if (host === '' || host === '*' || host === '0.0.0.0') return toAddress('127.0.0.1', port);
  return toAddress(host === '::' ? '::1' : host, port);
}

export interface ServerAddress extends Readonly<HostPort> {
  readonly protocol: string;
  /** The host is a name that DNS must resolve. */
  readonly named: boolean;
}

/**
 * The address HAProxy connects to for an instance's URL. `localhost` becomes 127.0.0.1 without a DNS lookup. Every round asks
 * for the address of every server.
 */
export const serverAddress = memoize(parseServerAddress);

function parseServerAddress(url: string): ServerAddress {
  const { hostname, port: given, protocol } = new URL(url);
  const port = Number(given || (protocol === 'https:' ? 443 : 80));
  const bare = hostname.replace(/^\[|\]$/g, '');
  const host = bare === 'localhost' ? '127.0.0.1' : bare;
  const literal = host.includes(':') || /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
  // `protocol` is a string of its own for every URL.
  return { ...toAddress(host, port), protocol: protocol === 'https:' ? 'https:' : 'http:', named: !literal };
}

/** Options of `net.connect` for a HAProxy socket: a path or `host:port`. */
export function socketAddress(socket: string): { path: string } | { host: string; port: number } {
  if (socket.startsWith('/')) return { path: socket };
  const { host, port } = connectAddress(socket);
  return { host, port };
}
