import type { ParsedFile } from '../file/sections.ts';
import type { ServiceDraft } from '../services/service.ts';

export interface ChosenPorts {
  /** For a gateway without an address in the file. */
  gateway: number;
  /** The keys of the section `haproxy` that differ from their default. */
  haproxy: { stats?: string; agentCheck?: string };
  /** `agent.bind`; null: the default. */
  agent: string | null;
}

/** Chooses ports that the file does not use, for acgs-lb's own listeners. */
export function choosePorts(
  file: ParsedFile,
  services: ReadonlyMap<string, ServiceDraft>,
  gatewayBinds: readonly string[],
): ChosenPorts {
  const used = new Set<number>(gatewayBinds.map((bind) => Number(bind.slice(bind.lastIndexOf(':') + 1))));
  for (const { body } of file.sections)
    for (const { text } of body) for (const port of portsIn(text)) used.add(port);
  for (const { servers } of services.values())
    for (const { url } of servers) used.add(Number(/:(\d+)$/.exec(url)?.[1]));
  const choose = (wanted: number): number => {
    let port = wanted;
    while (used.has(port)) port += 1;
    used.add(port);
    return port;
  };
  const [gateway, stats, agent, agentCheck] = [8090, 8080, 9400, 9401].map(choose);
  return {
    gateway: gateway ?? 8090,
    haproxy: {
      ...(stats === 8080 ? {} : { stats: `127.0.0.1:${stats}` }),
      ...(agentCheck === 9401 ? {} : { agentCheck: `127.0.0.1:${agentCheck}` }),
    },
    agent: agent === 9400 ? null : `127.0.0.1:${agent}`,
  };
}

const portsIn = (text: string): number[] =>
  /^(?:bind|server)\b/.test(text) ? [...text.matchAll(/:(\d{1,5})\b/g)].map((match) => Number(match[1])) : [];
