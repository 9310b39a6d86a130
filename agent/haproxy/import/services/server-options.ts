import { wordTable } from '../file/word-table.ts';

/** What becomes of an option of a `server` line. */
export interface ServerOption {
  /** Number of words after the option. */
  words: number;
  /**
   * - `used`: it has a key in acgs-lb.yaml, or acgs-lb does the same
   * - `lost`: the server works without it; the report names it
   * - `blocks`: HAProxy would reach the server in another way without it, so the whole backend stays as it is
   */
  fate: 'used' | 'lost' | 'blocks';
}

const used = (words = 0): ServerOption => ({ words, fate: 'used' });
const lost = (words = 0): ServerOption => ({ words, fate: 'lost' });
const blocks = (words = 0): ServerOption => ({ words, fate: 'blocks' });

export const SERVER_OPTIONS = wordTable<ServerOption>({
  addr: blocks(1),
  'agent-addr': lost(1),
  'agent-check': lost(),
  'agent-inter': lost(1),
  'agent-port': lost(1),
  'agent-send': lost(1),
  allow: lost(),
  alpn: used(1),
  backup: used(),
  'ca-file': used(1),
  check: used(),
  'check-alpn': lost(1),
  'check-proto': used(1),
  'check-send-proxy': blocks(),
  'check-sni': used(1),
  'check-ssl': blocks(),
  'check-via-socks4': blocks(),
  ciphers: lost(1),
  ciphersuites: lost(1),
  cookie: used(1),
  'crl-file': lost(1),
  crt: blocks(1),
  disabled: used(),
  downinter: lost(1),
  enabled: used(),
  'error-limit': lost(1),
  fall: used(1),
  fastinter: used(1),
  id: lost(1),
  'init-addr': used(1),
  inter: used(1),
  'log-proto': lost(1),
  maxconn: used(1),
  maxqueue: lost(1),
  'max-reuse': lost(1),
  minconn: lost(1),
  namespace: blocks(1),
  'no-check': used(),
  'no-ssl': used(),
  'no-sslv3': lost(),
  'no-tls-tickets': lost(),
  'no-tlsv10': lost(),
  'no-tlsv11': lost(),
  'no-tlsv12': lost(),
  'no-tlsv13': lost(),
  'no-verifyhost': used(),
  observe: lost(1),
  'on-error': lost(1),
  'on-marked-down': lost(1),
  'on-marked-up': lost(1),
  'pool-low-conn': lost(1),
  'pool-max-conn': lost(1),
  'pool-purge-delay': lost(1),
  port: blocks(1),
  proto: used(1),
  redir: blocks(1),
  'resolve-net': lost(1),
  'resolve-opts': lost(1),
  'resolve-prefer': lost(1),
  resolvers: used(1),
  rise: used(1),
  'send-proxy': blocks(),
  'send-proxy-v2': blocks(),
  'send-proxy-v2-ssl': blocks(),
  'send-proxy-v2-ssl-cn': blocks(),
  slowstart: used(1),
  sni: used(1),
  socks4: blocks(1),
  source: blocks(1),
  ssl: used(),
  'ssl-max-ver': lost(1),
  'ssl-min-ver': lost(1),
  'ssl-reuse': lost(),
  'tcp-ut': lost(1),
  tfo: lost(),
  track: blocks(1),
  verify: used(1),
  verifyhost: used(1),
  weight: used(1),
  ws: blocks(1),
});

export interface ReadOptions {
  /** By name. A later value replaces an earlier one. The value of an option without arguments has no meaning. */
  values: Map<string, string>;
  lost: string[];
  /** The option that keeps the backend as it is, as it is in the file. */
  blockedBy: string | null;
}

/** Reads the options of `server` and `default-server` lines, in this order: later ones replace earlier ones. */
export function readServerOptions(lines: readonly (readonly string[])[]): ReadOptions {
  const result: ReadOptions = { values: new Map(), lost: [], blockedBy: null };
  for (const words of lines) {
    for (let at = 0; at < words.length; ) {
      const name = words[at] ?? '';
      const option = SERVER_OPTIONS[name];
      const size = 1 + (option?.words ?? 0);
      const text = words.slice(at, at + size).join(' ');
      if (!option || option.fate === 'blocks') result.blockedBy ??= text;
      else if (option.fate === 'lost') result.lost.push(text);
      else result.values.set(name, words[at + 1] ?? '');
      at += size;
    }
  }
  return result;
}
