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
const LOCAL = new Set(['127.0.0.1', 'localhost', '[::1]']);

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

/** The listener that a loopback URL reaches. */
function listenerAt(text: string, listeners: readonly ListenAddress[]): ListenAddress | undefined {
  const { hostname, port, protocol } = new URL(text);
  if (!LOCAL.has(hostname)) return undefined;
  const number = Number(port || (protocol === 'https:' ? 443 : 80));
  return listeners.find(
    (listener) => listener.port === number && (ANY.has(listener.host) || LOCAL.has(listener.host)),
  );
}
