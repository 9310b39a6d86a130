import { mergeOptionalSketch, type Sketch } from '../../shared/sketch.ts';
import { addRollup, emptyRollup, type Rollup } from '../history/rollups/rollup.ts';
import { DAY_SECONDS, HOUR_SECONDS } from '../history/rollups/run.ts';
import { seriesRange } from '../history/series/range.ts';
import { toFigures, toPoint } from './figures.ts';
import { findIncidents, type Incident, type StateEvent } from './incidents.ts';
import type {
  AlertReport,
  BreakerReport,
  InstanceReport,
  Report,
  ReportFigures,
  ReportPoint,
  ReportTargets,
  ServiceReport,
} from './report.ts';

export interface ReportInput {
  site: string;
  /** Epoch seconds. */
  from: number;
  to: number;
  generatedAt: number;
  targets: ReportTargets;
  /** Hours, or days with hours at the edges. */
  rollups: readonly Rollup[];
  bucket: number;
  /** Seconds of a period in which coverage is counted: a minute or an hour. */
  unit: number;
  /** For each service (instance '') and instance: periods with data, and periods with availability samples. */
  known: readonly { service: string; instance: string; known: number; sampled: number }[];
  events: readonly StateEvent[];
  breakers: readonly { service: string; instance: string; at: number; reason: string }[];
  alerts: readonly AlertReport[];
  /** Rows up to this time were imported from the original program. */
  adoptedUntil: number | null;
}

/**
 * Seconds per point of a chart, for about 300 points at most: minutes below a day while history has them, hours up to two
 * weeks, days beyond.
 */
export function bucketFor(from: number, to: number, now: number): { bucket: number; unit: number } {
  const { source, step } = seriesRange(from, to, now);
  if (source === 'minutes' && to - from < DAY_SECONDS) return { bucket: step, unit: MINUTE_SECONDS };
  const isLong = to - from > 14 * DAY_SECONDS;
  return { bucket: isLong ? DAY_SECONDS : HOUR_SECONDS, unit: HOUR_SECONDS };
}

const MINUTE_SECONDS = 60;

type SeriesOf = (rollups: readonly Rollup[]) => ReportPoint[];

export function buildReport(input: ReportInput): Report {
  const { site, from, to, generatedAt, bucket, targets } = input;
  const rollups = withClientFigures(input.rollups);
  const starts = bucketStarts(from, to, bucket);
  const seriesOf: SeriesOf = (own) => {
    const byBucket = grouped(own, ({ start }) => String(bucketOf(start, from, bucket)));
    return starts.map((start, index) => {
      const end = starts[index + 1] ?? Math.min(start + bucket, to);
      return toPoint(start, Math.max(end, start + 1) - start, byBucket.get(String(start)));
    });
  };
  const wholes = [...grouped(rollups, ({ service, instance }) => `${service}/${instance}`).values()];
  const incidents = findIncidents(input.events, membersOf(wholes), input);
  const figuresOf = figuresReader(input);
  const failures = Map.groupBy(
    incidents.filter(({ kind }) => kind !== 'maintenance'),
    ({ service }) => service,
  );

  const services = wholes
    .filter(({ instance }) => instance === '')
    .map((whole): ServiceReport => {
      const { service, queuedMax } = whole;
      const own = failures.get(service) ?? [];
      return {
        service,
        ...figuresOf(whole),
        queuedMax,
        incidents: own.filter(({ kind }) => kind === 'down').length,
        outages: own.filter(({ kind }) => kind === 'outage').length,
        breakerOpenings: input.breakers.filter((one) => one.service === service).length,
        series: seriesOf(rollups.filter((one) => one.service === service && one.instance === '')),
      };
    })
    .sort((a, b) => a.service.localeCompare(b.service));
  const instances = wholes
    .filter(({ instance }) => instance !== '')
    .map((whole): InstanceReport => {
      const { service, instance } = whole;
      const own = failures.get(service)?.filter((one) => one.instance === instance) ?? [];
      return { service, instance, ...figuresOf(whole), incidents: own.length };
    })
    .sort((a, b) => (b.latency?.p95 ?? -1) - (a.latency?.p95 ?? -1));

  return {
    site,
    from,
    to,
    generatedAt,
    bucket,
    targets,
    total: totalOf(rollups, services, seriesOf, input),
    services,
    instances,
    incidents,
    breakers: breakersOf(input.breakers),
    breakerSeries: openingsPerBucket(input, starts),
    alerts: [...input.alerts],
    notes: notesOf(input, services, incidents),
  };
}

/** The instances of each service. */
function membersOf(wholes: readonly Rollup[]): Map<string, Set<string>> {
  const members = new Map<string, Set<string>>();
  for (const { service, instance } of wholes) {
    const set = members.get(service) ?? new Set();
    if (instance) set.add(instance);
    members.set(service, set);
  }
  return members;
}

/** Figures of one service or instance from its totals of the period. */
function figuresReader({
  from,
  to,
  targets,
  known: periods,
  unit,
}: ReportInput): (whole: Rollup) => ReportFigures {
  const seconds = to - from;
  const byKey = new Map(periods.map((one) => [`${one.service}/${one.instance}`, one]));
  return (whole) => {
    const { known = 0, sampled = 0 } = byKey.get(`${whole.service}/${whole.instance}`) ?? {};
    const span = { whole, known, sampled, periods: Math.ceil(seconds / unit), unit };
    return toFigures(span, seconds, targets.availability);
  };
}

const openingsPerBucket = ({ breakers, to }: ReportInput, starts: readonly number[]) =>
  starts.map((start, index) => ({
    start,
    openings: breakers.filter(({ at }) => at >= start && at < (starts[index + 1] ?? to)).length,
  }));

/**
 * A service has the figures of its clients from their first record on, and before it the sums and the latency of its
 * instances. A later step without a record had no requests: its attempts belong to requests of the previous step.
 */
function withClientFigures(rollups: readonly Rollup[]): Rollup[] {
  const inner = Map.groupBy(
    rollups.filter(({ instance }) => instance !== ''),
    ({ start, service }) => `${start}/${service}`,
  );
  const latencyOfInstances = ({ start, service }: Rollup) =>
    (inner.get(`${start}/${service}`) ?? []).reduce<Sketch | null>(
      (sum, { latency }) => mergeOptionalSketch(sum, latency),
      null,
    );
  const recordedFrom = new Map<string, number>();
  for (const { start, service, client } of rollups) {
    if (client) recordedFrom.set(service, Math.min(start, recordedFrom.get(service) ?? start));
  }
  return rollups.map((rollup) => {
    const { client } = rollup;
    if (rollup.instance !== '') return rollup;
    if (client) {
      const { requests, failed: failures, latency } = client;
      return { ...rollup, requests, failures, latency };
    }
    if (rollup.start > (recordedFrom.get(rollup.service) ?? Number.POSITIVE_INFINITY)) {
      return { ...rollup, requests: 0, failures: 0, latency: null };
    }
    return { ...rollup, latency: latencyOfInstances(rollup) ?? rollup.latency };
  });
}

function grouped(rollups: readonly Rollup[], keyOf: (rollup: Rollup) => string): Map<string, Rollup> {
  const sums = new Map<string, Rollup>();
  for (const rollup of rollups) {
    const key = keyOf(rollup);
    let sum = sums.get(key);
    if (!sum) {
      sum = emptyRollup(rollup.start, rollup.service, rollup.instance);
      sums.set(key, sum);
    }
    addRollup(sum, rollup);
  }
  return sums;
}

/** Buckets are whole UTC hours or days; the first starts at `from`. */
const bucketOf = (start: number, from: number, bucket: number): number =>
  Math.max(Math.floor(start / bucket) * bucket, from);

function bucketStarts(from: number, to: number, bucket: number): number[] {
  const starts: number[] = [];
  for (let at = from; at < to; at = Math.floor(at / bucket) * bucket + bucket) starts.push(at);
  return starts;
}

/** Services peak at different times, so the peak of the total is the highest mean of a bucket. */
function totalOf(
  rollups: readonly Rollup[],
  services: readonly ServiceReport[],
  seriesOf: SeriesOf,
  { from, to, targets, unit }: ReportInput,
): Report['total'] {
  const own = rollups.filter(({ instance }) => instance === '');
  const series = seriesOf(own);
  const whole = [...grouped(own, () => '').values()][0] ?? emptyRollup(from, '', '');
  const coverage = Math.max(0, ...services.map((service) => service.coverage));
  const periods = Math.ceil((to - from) / unit);
  const known = Math.round(coverage * periods);
  const total = toFigures({ whole, known, sampled: known, periods, unit }, to - from, targets.availability);
  return { ...total, peakRate: Math.max(0, ...series.map(({ meanRate }) => meanRate ?? 0)), series };
}

function breakersOf(openings: ReportInput['breakers']): BreakerReport[] {
  return [...Map.groupBy(openings, ({ service, instance }) => `${service}/${instance}`).values()]
    .flatMap((own) => {
      const last = own.reduce((a, b) => (b.at >= a.at ? b : a));
      const { service, instance, at, reason } = last;
      return { service, instance, openings: own.length, lastAt: at, lastReason: reason };
    })
    .sort((a, b) => b.openings - a.openings);
}

function notesOf(
  input: ReportInput,
  services: readonly ServiceReport[],
  incidents: readonly Incident[],
): string[] {
  const notes: string[] = [];
  const names = (chosen: readonly ServiceReport[]) =>
    chosen.length === services.length ? 'all services' : chosen.map(({ service }) => service).join(', ');
  const means = services.filter(({ latency }) => latency?.basis === 'means');
  if (means.length > 0) {
    notes.push(
      `Latency of ${names(means)}: percentiles of ten-second means, because single requests were not recorded; true percentiles are higher.`,
    );
  }
  const timed = services.filter(({ availability }) => availability?.basis === 'time');
  if (timed.length > 0) {
    notes.push(
      `Availability of ${names(timed)}: share of time in which an instance could serve, because requests were not recorded.`,
    );
  }
  const counted = services.filter(({ availability }) => availability?.basis === 'attempts');
  if (counted.length > 0) {
    notes.push(
      `Availability of ${names(counted)}: share of successful attempts, because neither requests nor uptime were recorded.`,
    );
  }
  const least = Math.min(1, ...services.map(({ coverage }) => coverage));
  if (least < 0.99) {
    notes.push(
      `History covers ${(least * 100).toFixed(least < 0.1 ? 1 : 0)} % of the period. Gaps count neither as up nor as down.`,
    );
  }
  if (input.adoptedUntil !== null && input.adoptedUntil > input.from) {
    const until = new Date(input.adoptedUntil * 1000).toISOString().slice(0, 16).replace('T', ' ');
    notes.push(
      `Rows before ${until} UTC come from the original system: totals every 30 s, with latencies of health checks instead of requests.`,
    );
  }
  const maintenance = incidents.filter(({ kind }) => kind === 'maintenance').length;
  if (maintenance > 0)
    notes.push(
      `Maintenance by an operator (${maintenance === 1 ? 'once' : `${maintenance} times`}) does not count as an incident.`,
    );
  return notes;
}
