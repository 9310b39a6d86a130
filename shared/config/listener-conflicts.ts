import ipaddr from 'ipaddr.js';
import type { Config } from './config.ts';
import type { ConfigProblem } from './problem.ts';

interface ListenAddress {
  path: ConfigProblem['path'];
  what: string;
  host: string;
  port: number;
  text: string;
}

/** Two listeners of HAProxy and the agent on one port, or an instance or the edge at the address of one of them. */
export function listenerConflicts(config: Config): ConfigProblem[] {
  const listeners = listenersOf(config);
  return [
    ...listeners.flatMap((listener, index) => {
      const earlier = listeners.slice(0, index).find((other) => overlap(other, listener));
      return earlier ? [conflict(listener, earlier)] : [];
    }),
    ...instanceConflicts(config, listeners),
    ...edgeConflicts(config, listeners),
  ];
}

function listenersOf({ haproxy, agent }: Config): ListenAddress[] {
  const address = (path: ConfigProblem['path'], what: string, text: string): ListenAddress => {
    const colon = text.lastIndexOf(':');
    return { path, what, text, host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
  };
  return [
    ...haproxy.bind.map((text, index) => address(['haproxy', 'bind', index], 'the gateway', text)),
    ...(haproxy.tls?.bind ?? []).map((text, index) =>
      address(['haproxy', 'tls', 'bind', index], 'the gateway (TLS)', text),
    ),
    address(['haproxy', 'stats'], "HAProxy's statistics", haproxy.stats),
    address(['agent', 'bind'], "the agent's API", agent.bind),
    address(['haproxy', 'agentCheck'], 'the agent-check', haproxy.agentCheck),
  ];
}

const ANY = new Set(['', '*', '0.0.0.0', '[::]']);

function overlap(a: ListenAddress, b: ListenAddress): boolean {
  return a.port === b.port && (a.host === b.host || ANY.has(a.host) || ANY.has(b.host));
}

function conflict({ path, text }: ListenAddress, other: ListenAddress): ConfigProblem {
  return { path, value: text, allowed: `a port of its own (${other.what} has ${other.text})` };
}

function instanceConflicts(config: Config, listeners: readonly ListenAddress[]): ConfigProblem[] {
  return Object.values(config.services).flatMap((service) =>
    service.instances.flatMap((instance, index) => {
      const other = listenerAt(instance.url, listeners);
      if (!other) return [];
      const path = ['services', service.id, 'instances', index, 'url'];
      const allowed = `an address that HAProxy and the agent do not listen on (${other.what} has ${other.text})`;
      return [{ path, value: instance.url, allowed }];
    }),
  );
}

function edgeConflicts({ edge }: Config, listeners: readonly ListenAddress[]): ConfigProblem[] {
  const other = edge.url ? listenerAt(edge.url, listeners) : undefined;
  if (!other) return [];
  const allowed = `the Worker's address (${other.what} has ${other.text})`;
  return [{ path: ['edge', 'url'], value: edge.url, allowed }];
}

interface UrlAddresses {
  /** Those that the URL's host name has, when they are known. */
  addresses?: readonly string[];
  /** Those of this host besides loopback, when they are known. */
  local?: readonly string[];
}

/**
 * What listens at a URL: HAProxy, the agent, the edge, or a gateway of the site. Null: none of them. An instance there would
 * send requests around in a circle, or publish the agent's API.
 */
export function ownListenerAt(url: string, config: Config, known: UrlAddresses = {}): string | null {
  const { site, edge } = config;
  const urls: [what: string, url: string][] = [
    ...(edge.url ? [['the edge', edge.url] as [string, string]] : []),
    ...site.gateways.map((gateway): [string, string] => ['a gateway of the site', gateway]),
  ];
  const others = urls.map(([what, text]) => ({ path: [], what, text, ...hostAndPort(text) }));
  const found = listenerAt(url, [...listenersOf(config), ...others], known);
  return found ? `${found.what} has ${found.text}` : null;
}

/** The listener that a URL reaches. */
function listenerAt(
  url: string,
  listeners: readonly ListenAddress[],
  { addresses = [], local = [] }: UrlAddresses = {},
): ListenAddress | undefined {
  const { host, port } = hostAndPort(url);
  const hosts = [host, ...addresses].map(bareHost);
  const isHere = hosts.some((one) => isLoopback(one) || local.includes(one));
  return listeners.find((listener) => {
    if (listener.port !== port) return false;
    if (ANY.has(listener.host)) return isHere;
    const own = bareHost(listener.host);
    return hosts.includes(own) || (isLoopback(own) && hosts.some(isLoopback));
  });
}

function hostAndPort(url: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname, port: Number(port || (protocol === 'https:' ? 443 : 80)) };
}

/** Without the brackets of IPv6, and IPv4 when IPv6 contains it. */
function bareHost(host: string): string {
  const bare = host.replace(/^\[|\]$/g, '');
  return ipaddr.isValid(bare) ? ipaddr.process(bare).toString() : bare.toLowerCase();
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || (ipaddr.isValid(host) && ipaddr.parse(host).range() === 'loopback');
