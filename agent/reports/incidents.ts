/** A time in which an instance, or a whole service, could not serve. Times are epoch seconds. */
export interface Incident {
  /** 'outage': no instance of the service could serve. 'maintenance': an operator took the instance out. */
  kind: 'outage' | 'down' | 'maintenance';
  service: string;
  /** Null for an outage. */
  instance: string | null;
  start: number;
  /** Null while it lasts. */
  end: number | null;
  /** Seconds of it inside the period. */
  seconds: number;
  reason: string;
}

/** What became of an instance; `maint` and `ready` are what an operator asked for. */
export interface StateEvent {
  service: string;
  instance: string;
  at: number;
  what: 'down' | 'serving' | 'maint' | 'ready' | 'registered' | 'gone';
  reason: string;
}

type IncidentSpan = Omit<Incident, 'seconds'>;

/**
 * `events` in order of time, from before the period where a fall began before it; `members` tells which instances a
 * service has, since one that never fell has no events and keeps its service alive.
 */
export function findIncidents(
  events: readonly StateEvent[],
  members: ReadonlyMap<string, ReadonlySet<string>>,
  { from, to }: { from: number; to: number },
): Incident[] {
  const instances = Map.groupBy(events, ({ service, instance }) => `${service}/${instance}`).values();
  const services = Map.groupBy(events, ({ service }) => service);
  return [
    ...[...instances].flatMap(falls),
    ...[...services].flatMap(([service, own]) => outages(own, members.get(service) ?? new Set())),
  ]
    .map((one) => ({ ...one, seconds: Math.min(one.end ?? to, to) - Math.max(one.start, from) }))
    .filter(({ seconds, end }) => seconds > 0 && (end === null || end > from))
    .sort((a, b) => b.start - a.start);
}

/** When one instance was down, apart from when it was meant to be. */
function falls(events: readonly StateEvent[]): IncidentSpan[] {
  const found: IncidentSpan[] = [];
  let [down, asked] = [false, false];
  for (const { service, instance, at, what, reason } of events) {
    if (what === 'down' || what === 'serving') down = what === 'down';
    if (what === 'maint' || what === 'ready') asked = what === 'maint';
    if (what === 'registered' || what === 'gone') [down, asked] = [false, false];
    const kind = down ? (asked ? 'maintenance' : 'down') : null;
    const open = found.at(-1)?.end === null ? found.at(-1) : undefined;
    if (open?.kind === kind) continue;
    if (open) open.end = at;
    const why = what === 'ready' ? 'does not serve after maintenance' : reason;
    if (kind) found.push({ kind, service, instance, start: at, end: null, reason: why });
  }
  return found;
}

/** When no instance of one service was left. One that was never seen to serve or fall yet, or is gone, is none. */
function outages(events: readonly StateEvent[], members: ReadonlySet<string>): IncidentSpan[] {
  const states = new Map<string, 'serving' | 'down' | 'absent'>();
  for (const { instance, what } of events)
    if (!states.has(instance)) states.set(instance, what === 'registered' ? 'absent' : 'serving');
  for (const instance of members) if (!states.has(instance)) states.set(instance, 'serving');
  const found: IncidentSpan[] = [];
  for (const { service, instance, at, what, reason } of events) {
    if (what === 'maint' || what === 'ready') continue;
    states.set(instance, what === 'down' || what === 'serving' ? what : 'absent');
    const now = [...states.values()];
    const out = now.includes('down') && !now.includes('serving');
    const open = found.at(-1)?.end === null ? found.at(-1) : undefined;
    if (open && !out) open.end = at;
    if (out && !open) {
      const why = `no instance left; the last, ${instance}: ${reason}`;
      found.push({ kind: 'outage', service, instance: null, start: at, end: null, reason: why });
    }
  }
  return found;
}
