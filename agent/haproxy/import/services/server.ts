import type { Statement } from '../file/sections.ts';
import { isId, type ListenPlace, toDuration, toHostPort, toInteger } from '../file/values.ts';
import { readServerOptions } from './server-options.ts';

/** A `server` line as an instance, with the settings that acgs-lb.yaml holds per service. */
export interface ServerDraft {
  statement: Statement;
  /** As in HAProxy's file; instances get an id of their own when two services use the same name. */
  name: string;
  url: string;
  /** HAProxy's own scale, 1 by default. */
  weight: number;
  maxconn: number | null;
  backup: boolean;
  /** The server takes no traffic: `disabled`, or weight 0. */
  off: string | null;
  /** HAProxy checks it. */
  checked: boolean;
  health: ServerHealth;
  /** HAProxy speaks HTTP/2 to it. */
  http2: boolean;
  tls: ServerTls | null;
  slowStart: string | null;
  /** Options without an equivalent, which are left out. */
  lost: string[];
}

export interface ServerHealth {
  interval: string;
  fastInterval: string | null;
  rise: number;
  fall: number;
}

export interface ServerTls {
  verify: boolean;
  ca?: string;
  serverName?: string;
}

/** The server, or why the backend stays as it is. */
export function readServer(statement: Statement, defaults: readonly Statement[]): ServerDraft | string {
  if (statement.usesEnvironment || statement.words[2]?.includes('$'))
    return 'a server has an environment variable, whose value is known only where HAProxy runs';
  const [, name = '', address = '', ...options] = statement.words;
  const place = serverPlace(address);
  if (!place) return `the server's address ${address || '(missing)'} is not host:port`;
  if (!isId(name)) return `the server name ${name} is not a valid instance id`;
  const { values, lost, blockedBy } = readServerOptions([
    ...defaults.map(({ words }) => words.slice(1)),
    options,
  ]);
  const blocked = blockedBy ?? unknownProtocol(values);
  if (blocked !== null) return `the server option ${blocked} has no equivalent in acgs-lb.yaml`;
  const ssl = values.has('ssl') && !values.has('no-ssl');
  const weight = toInteger(values.get('weight') ?? '1', 0, 256) ?? 1;
  return {
    statement,
    name,
    url: `${ssl ? 'https' : 'http'}://${place.host}:${place.port}`,
    weight: Math.max(1, weight),
    maxconn: toInteger(values.get('maxconn'), 1, 1_000_000),
    backup: values.has('backup'),
    off: offReason(values, weight),
    checked: values.has('check') && !values.has('no-check'),
    health: readServerHealth(values),
    http2: isHttp2(values),
    tls: ssl ? readTls(values) : null,
    slowStart: toDuration(values.get('slowstart')),
    lost,
  };
}

const readServerHealth = (values: ReadonlyMap<string, string>): ServerHealth => ({
  interval: toDuration(values.get('inter')) ?? '2s',
  fastInterval: toDuration(values.get('fastinter')),
  rise: toInteger(values.get('rise'), 1, 100) ?? 2,
  fall: toInteger(values.get('fall'), 1, 100) ?? 3,
});

function serverPlace(address: string): ListenPlace | null {
  const place = toHostPort(address);
  return place && place.host !== '' && place.host !== '*' ? place : null;
}

const isHttp2 = (values: ReadonlyMap<string, string>): boolean =>
  values.get('proto') === 'h2' || values.get('alpn') === 'h2';

/** The option with a protocol, or a choice of protocols, that acgs-lb.yaml cannot express. */
function unknownProtocol(values: ReadonlyMap<string, string>): string | null {
  for (const option of ['proto', 'check-proto']) {
    const value = values.get(option) ?? 'h1';
    if (value !== 'h1' && value !== 'h2') return `${option} ${value}`;
  }
  if (isHttp2(values)) return values.get('check-proto') === 'h1' ? 'check-proto h1 with HTTP/2' : null;
  if (values.get('check-proto') === 'h2') return 'check-proto h2 with HTTP/1.1';
  return /\bh2\b/.test(values.get('alpn') ?? '') ? 'alpn with h2 and others' : null;
}

function offReason(values: ReadonlyMap<string, string>, weight: number): string | null {
  if (values.has('disabled') && !values.has('enabled')) return 'the server is disabled';
  return weight === 0 ? 'the server has weight 0' : null;
}

function readTls(values: ReadonlyMap<string, string>): ServerTls {
  const ca = values.get('ca-file');
  const sni = /^str\(([^()]+)\)$/.exec(values.get('sni') ?? '')?.[1];
  const serverName = values.get('verifyhost') ?? sni ?? values.get('check-sni');
  return {
    // Without `verify`, HAProxy verifies certificates by default.
    verify: values.get('verify') !== 'none',
    ...(ca !== undefined && { ca }),
    ...(serverName !== undefined && { serverName }),
  };
}
