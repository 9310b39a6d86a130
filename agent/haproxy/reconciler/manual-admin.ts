import type { Advice } from '../../core/advice.ts';
import { type AdminState, type Change, instanceKey } from '../../core/state.ts';
import { serviceOfBackend } from '../long-lived.ts';
import type { DesiredServers } from './desired.ts';
import { type ActualServers, adminCommand } from './diff.ts';

/** An admin state in HAProxy that was not set through the agent: by a manual socket command or a restored state file. */
export interface ManualAdmin {
  service: string;
  instance: string;
  /** What the agent wants. */
  wanted: AdminState;
  admin: AdminState;
  /** On a monotonic clock, in milliseconds. */
  since: number;
}

/** By `service/instance`. */
export type ManualAdmins = ReadonlyMap<string, ManualAdmin>;

/** Another agent of the site may set a drain shortly before this one learns of it. */
const REPORTED_AFTER_MS = 3_000;

/** The admin states that differ from the desired ones and that the agent leaves as they are. */
export function findManualAdmins(
  before: ManualAdmins,
  {
    desired,
    actual,
    ownAdmin,
  }: {
    desired: DesiredServers;
    actual: ActualServers;
    ownAdmin: ReadonlyMap<string, AdminState>;
  },
  now: number,
): ManualAdmins {
  const found = new Map<string, ManualAdmin>();
  for (const [key, want] of desired) {
    const have = actual.get(key);
    if (!have || have.admin === want.admin) continue;
    if (adminCommand(want.admin, have.admin, ownAdmin.get(key)) !== undefined) continue;
    const service = serviceOfBackend(want.service);
    const server = instanceKey(service, want.instance);
    if (found.has(server)) continue;
    const last = before.get(server);
    const since = last?.admin === have.admin ? last.since : now;
    found.set(server, { service, instance: want.instance, wanted: want.admin, admin: have.admin, since });
  }
  return found;
}

/** Those that last for some seconds. */
export const lastingManualAdmins = (manual: ManualAdmins, now: number): ManualAdmin[] =>
  [...manual.values()].filter(({ since }) => now - since >= REPORTED_AFTER_MS);

/** `haproxy`: the name of another HAProxy of the site; null: the agent's own one. */
export interface FoundManualAdmin extends ManualAdmin {
  haproxy: string | null;
}

const placeOf = ({ haproxy }: FoundManualAdmin): string =>
  haproxy === null ? 'HAProxy' : `HAProxy ${haproxy}`;

const EFFECT = {
  ready: 'it gets traffic',
  drain: 'it gets no new sessions',
  maint: 'it gets no traffic',
} as const;

function manualAdminAdvice(found: FoundManualAdmin): Advice {
  const { service, instance, wanted, admin } = found;
  // A command through the agent makes the state the agent's own, and the agent undoes its own states.
  const undo = [admin, wanted].map((state) => `\`acgs-lb ${state} ${service} ${instance}\``).join(', then ');
  return {
    service,
    message: `${instance} is in ${admin} in ${placeOf(found)}, set on its socket and not through the agent: ${EFFECT[admin]}, and the agent does not change it`,
    action: `To end it, run ${undo}.`,
  };
}

/** The event for people. */
const manualAdminChange = (found: FoundManualAdmin, at: number): Change => ({
  at,
  service: found.service,
  instance: found.instance,
  kind: 'admin',
  from: found.wanted,
  to: found.admin,
  reason: `set in ${placeOf(found)} on its socket, not through the agent; the agent keeps it`,
});

const manualAdminKey = ({ haproxy, service, instance, admin }: FoundManualAdmin): string =>
  [haproxy ?? '', instanceKey(service, instance), admin].join(' ');

/** The admin states in HAProxy that were not set through the agent. Each new one is reported once. */
export function createManualAdmins(onNew: ((change: Change) => void) | undefined, now: () => number) {
  let current: ReadonlyMap<string, FoundManualAdmin> = new Map();
  return {
    advice: (): Advice[] => [...current.values()].map(manualAdminAdvice),
    report(found: readonly FoundManualAdmin[]): void {
      const before = current;
      current = new Map(found.map((each) => [manualAdminKey(each), each]));
      for (const [key, each] of current) if (!before.has(key)) onNew?.(manualAdminChange(each, now()));
    },
  };
}
