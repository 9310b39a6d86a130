import { type AdminState, instanceKey } from '../../core/state.ts';
import { isLongLivedBackend } from '../long-lived.ts';
import { serverAddress } from '../socket/address.ts';
import type { ServerStat, ServerState } from '../socket/parse.ts';
import type { DesiredServer, DesiredServers } from './desired.ts';

/** The state of a server in HAProxy. */
export interface ActualServer extends ServerState {
  agentUp: boolean;
  weight: number;
}

/** By `backend/instance`. */
export type ActualServers = ReadonlyMap<string, ActualServer>;

export type ServerAction =
  /** `commands` change one server at run time; `admin` is the admin state that they set. */
  | { type: 'set'; service: string; instance: string; commands: string[]; admin?: AdminState }
  | { type: 'add'; desired: DesiredServer }
  | { type: 'remove'; service: string; instance: string }
  /** Ends some of the open connections of a server. */
  | { type: 'close'; service: string; instance: string; count: number };

/** Joins `show stat` and `show servers state`. Leaves out all other backends. */
export function actualServers(
  stats: readonly ServerStat[],
  states: readonly ServerState[],
  backends: ReadonlySet<string>,
): Map<string, ActualServer> {
  const byKey = new Map(stats.map((stat) => [instanceKey(stat.service, stat.instance), stat]));
  const actual = new Map<string, ActualServer>();
  for (const state of states) {
    const key = instanceKey(state.service, state.instance);
    const stat = byKey.get(key);
    if (!stat || !backends.has(state.service)) continue;
    actual.set(key, { ...state, agentUp: stat.agentUp, weight: stat.weight });
  }
  return actual;
}

/**
 * The actions that turn the actual servers into the desired ones. `ownAdmin` holds the admin states that this agent set:
 * any other drain or maint is a manual socket command and stays.
 */
export function diffServers(
  desired: DesiredServers,
  actual: ActualServers,
  ownAdmin: ReadonlyMap<string, AdminState>,
): ServerAction[] {
  const actions: ServerAction[] = [];
  for (const [key, want] of desired) {
    const have = actual.get(key);
    if (!have) {
      actions.push({ type: 'add', desired: want });
      continue;
    }
    const action = setAction(want, have, ownAdmin.get(key));
    if (action) actions.push(action);
  }
  for (const [key, { service, instance }] of actual) {
    if (!desired.has(key)) actions.push({ type: 'remove', service, instance });
  }
  return actions;
}

/** A round follows every quarter of a second, so the connections of one instance end within some seconds. */
const CLOSED_SHARE = 0.1;
const MIN_CLOSED = 10;

/**
 * Ends the long-lived connections of instances under maintenance, which would otherwise last as long as the instance. They
 * end over some seconds, so that the clients do not all connect again at the same time.
 */
export const closeLongLived = (desired: DesiredServers, stats: readonly ServerStat[]): ServerAction[] =>
  stats.flatMap(({ service, instance, inflight }): ServerAction[] => {
    if (inflight === 0 || !isLongLivedBackend(service)) return [];
    if (desired.get(instanceKey(service, instance))?.admin !== 'maint') return [];
    const count = Math.max(MIN_CLOSED, Math.ceil(inflight * CLOSED_SHARE));
    return [{ type: 'close', service, instance, count }];
  });

/** Desired admin states that HAProxy already has, for example from before an agent restart. */
export function adminStatesInPlace(desired: DesiredServers, actual: ActualServers): [string, AdminState][] {
  return [...desired]
    .filter(([key, { admin }]) => admin !== 'ready' && actual.get(key)?.admin === admin)
    .map(([key, { admin }]) => [key, admin]);
}

function setAction(
  want: DesiredServer,
  have: ActualServer,
  ownAdmin: AdminState | undefined,
): ServerAction | null {
  const { service, instance } = want;
  const server = `set server ${service}/${instance}`;
  const commands: string[] = [];
  const { host, port, named } = serverAddress(want.url);
  if (!named && (have.address !== host || have.port !== port)) {
    commands.push(`${server} addr ${host} port ${port}`);
  }
  // `agent up` makes HAProxy use the server at once, even if its check fails: send it only to cancel `agent down`.
  const verdict = have.hasAgentCheck ? want.verdict : null;
  if (verdict === 'down' && have.agentUp) commands.push(`${server} agent down`);
  if (verdict === 'up' && !have.agentUp) commands.push(`${server} agent up`);
  if (want.weight !== have.weight) commands.push(`${server} weight ${want.weight}`);
  const admin = adminCommand(want.admin, have.admin, ownAdmin);
  if (admin) commands.push(`${server} state ${admin}`);
  return commands.length > 0 ? { type: 'set', service, instance, commands, ...(admin && { admin }) } : null;
}

/** The settings of a server that only a reload changes. An address without a host name can change at run time. */
export function reloadOnlySettings({
  url,
  priority,
  maxconn,
}: Pick<DesiredServer, 'url' | 'priority' | 'maxconn'>): string {
  const { text, named, protocol } = serverAddress(url);
  return `${protocol} ${named ? text : ''} ${priority} ${maxconn ?? ''}`;
}

/** `ready` and `drain` would cancel a manual maint: replace a maint only when this agent set it. */
export function adminCommand(
  want: AdminState,
  have: AdminState,
  ownAdmin: AdminState | undefined,
): AdminState | undefined {
  if (want === have) return undefined;
  if (have === 'maint' && ownAdmin !== 'maint') return undefined;
  if (want !== 'ready') return want;
  return ownAdmin !== undefined && ownAdmin !== 'ready' ? 'ready' : undefined;
}
