import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { Config } from '../../shared/config/config.ts';
import { ConfigError, parseConfig } from '../../shared/config/load.ts';

export interface DeriveOptions {
  portOffset: number;
  /** Demo instances: shift their ports too. Instances that already run keep their address. */
  moveInstances: boolean;
  /** Private folder for sockets and HAProxy's configuration; short, because socket paths are limited. */
  runFolder: string;
}

export interface DerivedConfig {
  /** YAML for the agent, the HAProxy renderer and the edge. */
  text: string;
  config: Config;
  edge: { host: string; port: number };
  /** Keys of the operator's file whose values do not apply to the local stack. */
  notApplied: string[];
}

const DERIVED_KEYS = [
  'site.gateways',
  'edge.publish.kvApi',
  'haproxy.socket',
  'haproxy.masterSocket',
  'haproxy.mode',
  'haproxy.file',
  'haproxy.mainFile',
  'haproxy.peers',
  'haproxy.others',
  'registry.allowNetworks',
];

const EDGE_PORT = 8787;

/** Adapts the operator's file to one machine: shifted ports, sockets and files in a private folder, no cloud account. */
export function deriveConfig(text: string, config: Config, derivation: DeriveOptions): DerivedConfig {
  const { portOffset, runFolder } = derivation;
  const document = parseDocument(text);
  const notApplied = DERIVED_KEYS.filter((key) => document.hasIn(key.split('.')));
  const set = (path: (string | number)[], value: unknown) => document.setIn(path, value);
  const shift = (address: string) => shiftBind(address, portOffset);
  const bind = config.haproxy.bind.map(shift);
  const edgePort = shiftPort(portOfUrl(config.edge.url), portOffset);

  set(['site', 'gateways'], [`http://${loopback(bind[0] ?? '')}`]);
  set(['edge', 'url'], `http://127.0.0.1:${edgePort}`);
  set(['edge', 'publish', 'kvApi'], false);
  set(['agent', 'bind'], shift(config.agent.bind));
  set(['haproxy', 'bind'], bind);
  set(['haproxy', 'stats'], shift(config.haproxy.stats));
  set(['haproxy', 'agentCheck'], shift(config.haproxy.agentCheck));
  set(['haproxy', 'socket'], join(runFolder, 'admin.sock'));
  set(['haproxy', 'masterSocket'], join(runFolder, 'master.sock'));
  set(['haproxy', 'file'], join(runFolder, 'haproxy.cfg'));
  // The operator's own HAProxy configuration belongs to another machine.
  document.deleteIn(['haproxy', 'mode']);
  document.deleteIn(['haproxy', 'mainFile']);
  if (config.haproxy.tls) set(['haproxy', 'tls', 'bind'], config.haproxy.tls.bind.map(shift));
  // A client of the local API, such as a fuzzer, must not make the agent probe other hosts.
  set(['registry', 'allowNetworks'], ['127.0.0.0/8', '::1/128']);
  // Other machines of the site have no part in the local stack.
  document.deleteIn(['haproxy', 'peers']);
  document.deleteIn(['haproxy', 'others']);
  for (const service of derivation.moveInstances ? Object.values(config.services) : []) {
    for (const [index, instance] of service.instances.entries()) {
      if (isDemoUrl(instance.url))
        set(['services', service.id, 'instances', index, 'url'], shiftUrl(instance.url, portOffset));
    }
  }
  const derivedText = document.toString();
  return {
    text: derivedText,
    config: parseConfig(derivedText, 'derived acgs-lb.yaml'),
    edge: { host: '127.0.0.1', port: edgePort },
    notApplied,
  };
}

/** Adds the offset to the port of `host:port`. */
function shiftBind(address: string, offset: number): string {
  const colon = address.lastIndexOf(':');
  return `${address.slice(0, colon)}:${shiftPort(Number(address.slice(colon + 1)), offset)}`;
}

function shiftPort(port: number, offset: number): number {
  if (port + offset <= 65_535) return port + offset;
  throw new ConfigError([`--port-offset ${offset} is too large for port ${port}: the highest port is 65535`]);
}

/** The address at which a local client reaches a listener on `address`. */
export function loopback(address: string): string {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon);
  return `${['', '*', '0.0.0.0', '[::]'].includes(host) ? '127.0.0.1' : host}${address.slice(colon)}`;
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function shiftUrl(text: string, offset: number): string {
  const url = new URL(text);
  url.port = String(shiftPort(Number(url.port || (url.protocol === 'https:' ? 443 : 80)), offset));
  return url.origin;
}

/** True for an HTTP address of this machine, where a demo instance can listen. */
export function isDemoUrl(text: string): boolean {
  const { protocol, hostname } = new URL(text);
  return protocol === 'http:' && ['127.0.0.1', 'localhost'].includes(hostname);
}

/** The port of edge.url when it is on this machine, else the default. */
function portOfUrl(text: string | undefined): number {
  const url = text ? new URL(text) : null;
  const local = url && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  return local && url.port ? Number(url.port) : EDGE_PORT;
}
