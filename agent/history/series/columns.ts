import { sketchQuantile } from '../../../shared/sketch.ts';
import type { SeriesTotals } from './totals.ts';

type Figure = number | null;

/** Each column, and how it is computed from the sums of a step. */
const COMMON = {
  requests: ({ requests }) => requests,
  failed: ({ failed }) => failed,
  errorPercent: ({ failed, requests }) => percent(failed, requests),
  availabilityPercent: (sums) => availabilityOf(sums),
  p50Ms: (sums) => quantile(sums, 0.5),
  p95Ms: (sums) => quantile(sums, 0.95),
  p99Ms: (sums) => quantile(sums, 0.99),
  attempts: ({ attempts }) => attempts,
  retries: ({ retries }) => retries,
  hedges: ({ hedges }) => hedges,
  limited: ({ limited }) => limited,
  status2xx: ({ status2xx }) => status2xx,
  status3xx: ({ status3xx }) => status3xx,
  status4xx: ({ status4xx }) => status4xx,
  status5xx: ({ status5xx }) => status5xx,
  concurrency: ({ concurrencySum, concurrencySamples }) => ratio(concurrencySum, concurrencySamples),
  queuedMax: ({ queuedMax }) => queuedMax,
  servingPercent: ({ upSamples, samples }) => percent(upSamples, samples),
} as const satisfies Record<string, (sums: SeriesTotals) => Figure>;

const OF_INSTANCE = {
  probes: ({ probes }) => probes,
  probesFailed: ({ probesFailed }) => probesFailed,
  probeMs: ({ probeMsSum, probes, probesFailed }) => ratio(probeMsSum, (probes ?? 0) - (probesFailed ?? 0)),
  breakerOpenPercent: ({ breakerSamples, samples }) => percent(breakerSamples, samples),
  outlierPercent: ({ outlierSamples, samples }) => percent(outlierSamples, samples),
  trafficPercent: ({ requests, serviceAttempts }) => percent(requests, serviceAttempts),
} as const satisfies Record<string, (sums: SeriesTotals) => Figure>;

export type SeriesColumn = keyof typeof COMMON | 'sessions';
export type InstanceColumn = keyof typeof OF_INSTANCE;
export type SeriesRow = Record<SeriesColumn, Figure> & Partial<Record<InstanceColumn, Figure>>;

export const SERIES_COLUMNS = [...Object.keys(COMMON), 'sessions'] as SeriesColumn[];
export const INSTANCE_COLUMNS = Object.keys(OF_INSTANCE) as InstanceColumn[];

/** The figures of one step. Of an instance, requests are its attempts and availability is the time it could serve. */
export function figuresOf(sums: SeriesTotals, sessions: Figure, isInstance: boolean): SeriesRow {
  const row = Object.fromEntries(
    Object.entries(COMMON).map(([name, read]) => [name, rounded(read(sums))]),
  ) as Record<keyof typeof COMMON, Figure>;
  if (!isInstance) return { ...row, sessions };
  const own = Object.fromEntries(
    Object.entries(OF_INSTANCE).map(([name, read]) => [name, rounded(read(sums))]),
  ) as Record<InstanceColumn, Figure>;
  return { ...row, availabilityPercent: row.servingPercent, sessions, ...own };
}

const availabilityOf = ({ requests, failed, upSamples, samples }: SeriesTotals): Figure =>
  requests ? 100 - (100 * (failed ?? 0)) / requests : percent(upSamples, samples);

const quantile = ({ latency }: SeriesTotals, q: number): Figure => latency && sketchQuantile(latency, q);

const ratio = (part: Figure, of: Figure): Figure => (part === null || !of ? null : part / of);

function percent(part: Figure, of: Figure): Figure {
  const share = ratio(part, of);
  return share === null ? null : 100 * share;
}

/** Four digits after the point are enough for every figure. */
const rounded = (value: Figure): Figure => (value === null ? null : Math.round(value * 1e4) / 1e4);
