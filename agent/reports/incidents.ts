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

/** A state that began; `serving` is false for down. */
export interface StateEvent {
  service: string;
  instance: string;
  at: number;
  serving: boolean;
  reason: string;
}

/**
 * Pairs falls with rises. `events` in order of time, from before the period where a fall began before it; `members`
 * tells which instances a service has, since one that never fell has no events and keeps its service alive.
 */
export function findIncidents(
  events: readonly StateEvent[],
  members: ReadonlyMap<string, ReadonlySet<string>>,
  period: { from: number; to: number },
): Incident[] {
  const downs = [
    ...Map.groupBy(events, ({ service, instance }) => `${service}/${instance}`).values(),
  ].flatMap((own) => pair(own, period));
  const outages = [...Map.groupBy(downs, ({ service }) => service)].flatMap(([service, own]) =>
    findOutages(service, own, members.get(service) ?? new Set(), period),
  );
  return [...downs, ...outages].sort((a, b) => b.start - a.start);
}

function pair(events: readonly StateEvent[], period: { from: number; to: number }): Incident[] {
  const found: Incident[] = [];
  let open: StateEvent | null = null;
  for (const event of events) {
    if (!event.serving) open ??= event;
    else if (open) {
      found.push(incident(open, event.at));
      open = null;
    }
  }
  if (open) found.push(incident(open, null));
  return found
    .filter(({ start, end }) => start < period.to && (end ?? period.to) > period.from)
    .map((one) => ({ ...one, seconds: inside(one, period) }));
}

const incident = ({ service, instance, at, reason }: StateEvent, end: number | null): Incident => ({
  kind: /^maintenance|\bmaint\b/i.test(reason) ? 'maintenance' : 'down',
  service,
  instance,
  start: at,
  end,
  seconds: 0,
  reason,
});

const inside = (
  one: { start: number; end: number | null },
  { from, to }: { from: number; to: number },
): number => Math.max(0, Math.min(one.end ?? to, to) - Math.max(one.start, from));

/** Sweeps over the falls of one service: an outage is where as many instances are down as there are. */
function findOutages(
  service: string,
  downs: readonly Incident[],
  members: ReadonlySet<string>,
  period: { from: number; to: number },
): Incident[] {
  const everyone = new Set([...members, ...downs.map(({ instance }) => instance ?? '')]);
  const edges = downs
    .flatMap((one) => [
      { at: one.start, step: 1, one },
      { at: one.end ?? Number.POSITIVE_INFINITY, step: -1, one },
    ])
    .sort((a, b) => a.at - b.at || a.step - b.step);
  const outages: Incident[] = [];
  let down = 0;
  for (const { at, step, one } of edges) {
    down += step;
    if (step > 0 && down === everyone.size) {
      const reason = `no instance left; the last, ${one.instance}: ${one.reason}`;
      outages.push({ kind: 'outage', service, instance: null, start: at, end: null, seconds: 0, reason });
    }
    const last = outages.at(-1);
    if (step < 0 && last?.end === null && down === everyone.size - 1 && at !== Number.POSITIVE_INFINITY)
      last.end = at;
  }
  return outages
    .map((one) => ({ ...one, seconds: inside(one, period) }))
    .filter(({ seconds }) => seconds > 0);
}
