/** A time in which an instance or a whole service could not serve. Epoch seconds. */
export interface Incident {
  /** `outage`: no instance of the service could serve. `maintenance`: an operator took the instance out. */
  kind: 'outage' | 'down' | 'maintenance';
  service: string;
  /** Null for an outage. */
  instance: string | null;
  start: number;
  /** Null while it continues. */
  end: number | null;
  /** The part inside the period. */
  seconds: number;
  reason: string;
}

/** A change of an instance. An operator sets `maint` and `ready`; `gone` means deregistered. */
export interface StateEvent {
  service: string;
  instance: string;
  at: number;
  what: 'down' | 'serving' | 'maint' | 'ready' | 'registered' | 'gone';
  reason: string;
}

type IncidentSpan = Omit<Incident, 'seconds'>;

/**
 * `events` are ordered by time and include the last ones before the period. `members` are the instances of each service:
 * an instance that never failed has no events, but keeps its service alive.
 */
export function findIncidents(
  events: readonly StateEvent[],
  members: ReadonlyMap<string, ReadonlySet<string>>,
  { from, to }: { from: number; to: number },
): Incident[] {
  const instances = Map.groupBy(events, ({ service, instance }) => `${service}/${instance}`).values();
  const services = Map.groupBy(events, ({ service }) => service);
  return [
    ...[...instances].flatMap(instanceIncidents),
    ...[...services].flatMap(([service, own]) => serviceOutages(own, members.get(service) ?? new Set())),
  ]
    .map((one) => ({ ...one, seconds: Math.min(one.end ?? to, to) - Math.max(one.start, from) }))
    .filter(({ seconds, end }) => seconds > 0 && (end === null || end > from))
    .sort((a, b) => b.start - a.start);
}

interface InstanceFlags {
  down: boolean;
  maintenance: boolean;
}

function nextFlags(flags: InstanceFlags, what: StateEvent['what']): InstanceFlags {
  switch (what) {
    case 'down':
    case 'serving':
      return { ...flags, down: what === 'down' };
    case 'maint':
    case 'ready':
      return { ...flags, maintenance: what === 'maint' };
    case 'registered':
    case 'gone':
      return { down: false, maintenance: false };
  }
}

/** The times in which one instance was down, split into failures and maintenance. */
function instanceIncidents(events: readonly StateEvent[]): IncidentSpan[] {
  const found: IncidentSpan[] = [];
  let flags: InstanceFlags = { down: false, maintenance: false };
  for (const { service, instance, at, what, reason } of events) {
    flags = nextFlags(flags, what);
    const kind = flags.down ? (flags.maintenance ? 'maintenance' : 'down') : null;
    const open = ongoing(found);
    if (open?.kind === kind) continue;
    if (open) open.end = at;
    const why = what === 'ready' ? 'still down after maintenance' : reason;
    if (kind) found.push({ kind, service, instance, start: at, end: null, reason: why });
  }
  return found;
}

const ongoing = (spans: readonly IncidentSpan[]): IncidentSpan | undefined =>
  spans.at(-1)?.end === null ? spans.at(-1) : undefined;

type Presence = 'serving' | 'down' | 'absent';

/** An instance without events before the period has served all the time, unless its first event registers it. */
function initialPresence(events: readonly StateEvent[], members: ReadonlySet<string>): Map<string, Presence> {
  const states = new Map<string, Presence>();
  for (const { instance, what } of events) {
    if (!states.has(instance)) states.set(instance, what === 'registered' ? 'absent' : 'serving');
  }
  for (const instance of members) if (!states.has(instance)) states.set(instance, 'serving');
  return states;
}

/** The times in which a service had instances, and all of them were down. */
function serviceOutages(events: readonly StateEvent[], members: ReadonlySet<string>): IncidentSpan[] {
  const states = initialPresence(events, members);
  const found: IncidentSpan[] = [];
  for (const { service, instance, at, what, reason } of events) {
    if (what === 'maint' || what === 'ready') continue;
    states.set(instance, what === 'down' || what === 'serving' ? what : 'absent');
    const present = [...states.values()];
    const isOut = present.includes('down') && !present.includes('serving');
    const open = ongoing(found);
    if (open && !isOut) open.end = at;
    if (!open && isOut) {
      const why = `no instance left; the last was ${instance}: ${reason}`;
      found.push({ kind: 'outage', service, instance: null, start: at, end: null, reason: why });
    }
  }
  return found;
}
