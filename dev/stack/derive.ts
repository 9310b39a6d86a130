import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { Config } from '../../shared/config/config.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { UsageError } from '../options.mjs';

export interface DeriveOptions {
  portOffset: number;
  /** Demo instances listen on moved ports; instances that run already stay where they are. */
  moveInstances: boolean;
  /** Short private folder for sockets and HAProxy's file. */
  runFolder: string;
}

export interface DerivedConfig {
  /** The text the agent, HAProxy's renderer and the edge are given. */
  text: string;
  config: Config;
  edge: { host: string; port: number };
}

const EDGE_PORT = 8787;

/** The operator's file, moved to this machine: ports shifted, sockets and files in a private folder, no cloud. */
export function deriveConfig(text: string, config: Config, derivation: DeriveOptions): DerivedConfig {
  const { portOffset, runFolder } = derivation;
  const document = parseDocument(text);
  const set = (path: (string | number)[], value: unknown) => document.setIn(path, value);
  const moved = (address: string) => moveBind(address, portOffset);
  const bind = config.haproxy.bind.map(moved);
  const edgePort = movedPort(portOfUrl(config.edge.url), portOffset);

  set(['site', 'gateways'], [`http://${loopback(bind[0] ?? '')}`]);
  set(['edge', 'url'], `http://127.0.0.1:${edgePort}`);
  set(['edge', 'publish', 'kvApi'], false);
  set(['agent', 'bind'], moved(config.agent.bind));
  set(['haproxy', 'bind'], bind);
  set(['haproxy', 'stats'], moved(config.haproxy.stats));
  set(['haproxy', 'agentCheck'], moved(config.haproxy.agentCheck));
  set(['haproxy', 'socket'], join(runFolder, 'admin.sock'));
  set(['haproxy', 'masterSocket'], join(runFolder, 'master.sock'));
  set(['haproxy', 'file'], join(runFolder, 'haproxy.cfg'));
  if (config.haproxy.tls) set(['haproxy', 'tls', 'bind'], config.haproxy.tls.bind.map(moved));
  // Other machines of the site are none of the local stack's business.
  document.deleteIn(['haproxy', 'peers']);
  document.deleteIn(['haproxy', 'others']);
  for (const service of derivation.moveInstances ? Object.values(config.services) : []) {
    for (const [index, instance] of service.instances.entries()) {
      if (isDemoUrl(instance.url))
        set(['services', service.id, 'instances', index, 'url'], moveUrl(instance.url, portOffset));
    }
  }
  const derivedText = document.toString();
  return {
    text: derivedText,
    config: parseConfig(derivedText, 'derived acgs-lb.yaml'),
    edge: { host: '127.0.0.1', port: edgePort },
  };
}

/** `host:port` with another port. */
function moveBind(address: string, offset: number): string {
  const colon = address.lastIndexOf(':');
  return `${address.slice(0, colon)}:${movedPort(Number(address.slice(colon + 1)), offset)}`;
}

function movedPort(port: number, offset: number): number {
  if (port + offset <= 65_535) return port + offset;
  throw new UsageError(`--port-offset ${offset} is too much for port ${port}: ports end at 65535`);
}

/** Where a local client reaches what listens on `address`. */
export function loopback(address: string): string {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon);
  return `${['', '*', '0.0.0.0', '[::]'].includes(host) ? '127.0.0.1' : host}${address.slice(colon)}`;
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function moveUrl(text: string, offset: number): string {
  const url = new URL(text);
  url.port = String(movedPort(Number(url.port || (url.protocol === 'https:' ? 443 : 80)), offset));
  return url.origin;
}

/** A plain HTTP address of this machine: a demo instance can stand there. */
export function isDemoUrl(text: string): boolean {
  const { protocol, hostname } = new URL(text);
  return protocol === 'http:' && ['127.0.0.1', 'localhost'].includes(hostname);
}

/** The edge's local port: the config's, when its edge is on this machine. */
function portOfUrl(text: string | undefined): number {
  const url = text ? new URL(text) : null;
  const local = url && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  return local && url.port ? Number(url.port) : EDGE_PORT;
}
