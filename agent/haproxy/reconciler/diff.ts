import type { AdminState } from '../../core/state.ts';
import { serverAddress } from '../render/quoting.ts';
import type { ServerStat, ServerState } from '../socket/parse.ts';
import type { DesiredServer, DesiredServers } from './desired.ts';

/** A server as HAProxy has it. */
export interface ActualServer {
  service: string;
  instance: string;
  admin: AdminState;
  agentUp: boolean;
  weight: number;
  address: string;
  port: number;
}

export type ServerAction =
  /** Runtime commands that bring one server to what is desired. */
  | { do: 'set'; service: string; instance: string; commands: string[]; admin?: AdminState }
  | { do: 'add'; desired: DesiredServer }
  | { do: 'remove'; service: string; instance: string };

export function actualServers(
  stats: readonly ServerStat[],
  states: readonly ServerState[],
  services: ReadonlySet<string>,
): Map<string, ActualServer> {
  const byKey = new Map(stats.map((stat) => [`${stat.service}/${stat.instance}`, stat]));
  const actual = new Map<string, ActualServer>();
  for (const state of states) {
    const key = `${state.service}/${state.instance}`;
    const stat = byKey.get(key);
    if (!stat || !services.has(state.service)) continue;
    const { service, instance, admin, address, port } = state;
    actual.set(key, { service, instance, admin, agentUp: stat.agentUp, weight: stat.weight, address, port });
  }
  return actual;
}

/**
 * The difference between what is desired and what HAProxy has, as steps. `ours` holds the admin orders this agent gave:
 * a drain or maint that is not among them is a person's, given on the socket, and stays.
 */
export function diffServers(
  desired: DesiredServers,
  actual: ReadonlyMap<string, ActualServer>,
  ours: ReadonlyMap<string, AdminState>,
): ServerAction[] {
  const steps: ServerAction[] = [];
  for (const [key, want] of desired) {
    const have = actual.get(key);
    if (!have) steps.push({ do: 'add', desired: want });
    else steps.push(...settings(want, have, ours.get(key)));
  }
  for (const [key, { service, instance }] of actual) {
    if (!desired.has(key)) steps.push({ do: 'remove', service, instance });
  }
  return steps;
}

/** Orders of ours that HAProxy holds already, given before this agent was started. */
export function adminStatesInPlace(
  desired: DesiredServers,
  actual: ReadonlyMap<string, ActualServer>,
): [string, AdminState][] {
  return [...desired]
    .filter(([key, { admin }]) => admin !== 'ready' && actual.get(key)?.admin === admin)
    .map(([key, { admin }]) => [key, admin]);
}

function settings(want: DesiredServer, have: ActualServer, ordered: AdminState | undefined): ServerAction[] {
  const { service, instance } = want;
  const server = `set server ${service}/${instance}`;
  const commands: string[] = [];
  const { host, port, named } = serverAddress(want.url);
  if (!named && (have.address !== host || have.port !== port))
    commands.push(`${server} addr ${host} port ${port}`);
  // `agent up` makes HAProxy trust the server at once, dead or not, so it is said only to take back a `down`.
  if (want.verdict === 'down' && have.agentUp) commands.push(`${server} agent down`);
  if (want.verdict === 'up' && !have.agentUp) commands.push(`${server} agent up`);
  if (want.weight !== have.weight) commands.push(`${server} weight ${want.weight}`);
  const admin = adminOrder(want.admin, have.admin, ordered);
  if (admin) commands.push(`${server} state ${admin}`);
  return commands.length > 0 ? [{ do: 'set', service, instance, commands, ...(admin && { admin }) }] : [];
}

/**
 * What of a server cannot be changed while HAProxy runs: seen to differ from before, only a reload brings it. An address
 * that is no name can.
 */
export function reloadOnlySettings({
  url,
  priority,
  maxconn,
}: Pick<DesiredServer, 'url' | 'priority' | 'maxconn'>): string {
  const { text, named } = serverAddress(url);
  return [new URL(url).protocol, named ? text : '', priority, maxconn ?? ''].join(' ');
}

/** `ready` and `drain` would cancel a person's maint, so over a maint they are sent only when it was an order of ours. */
function adminOrder(
  want: AdminState,
  have: AdminState,
  ordered: AdminState | undefined,
): AdminState | undefined {
  if (want === have) return undefined;
  if (have === 'maint' && ordered !== 'maint') return undefined;
  if (want !== 'ready') return want;
  return ordered !== undefined && ordered !== 'ready' ? 'ready' : undefined;
}
