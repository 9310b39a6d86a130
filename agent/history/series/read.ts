import type { Sketch } from '../../../shared/sketch.ts';
import type { HistoryRecord } from '../records.ts';
import type { Queryable } from '../sql/database.ts';
import { parseSketch } from '../sql/sketch-column.ts';
import { type SeriesRange, stepsOf } from './range.ts';
import { peersPerStep, type SubjectKind, sessionsByStep, sumsPerStep } from './statements.ts';
import { addSeriesTotals, emptySeriesTotals, type SeriesTotals } from './totals.ts';

/** The whole site without `service`. */
export interface SeriesSubject {
  service?: string;
  /** Needs `service`. */
  instance?: string;
}

/** Medians over the other instances of the service. */
export interface PeerFigures {
  p50Ms: number | null;
  p95Ms: number | null;
  errorPercent: number | null;
}

export interface SeriesData {
  /** One per step. */
  steps: SeriesTotals[];
  sessions: number[];
  /** Different sessions of the whole range. */
  sessionCount: number;
  /** Of an instance with peers. */
  peers: { count: number; steps: PeerFigures[]; total: PeerFigures } | null;
}

interface SumsRow extends Record<string, unknown> {
  slot: number;
  latency: string | Sketch | null;
}

/**
 * Reads the figures of each step. `pending`: rows of the current minute that are not written yet. One query after another,
 * on one connection at a time.
 */
export async function readSeries(
  database: Queryable,
  subject: SeriesSubject,
  range: SeriesRange,
  pending: readonly HistoryRecord[],
): Promise<SeriesData> {
  const kind = kindOf(subject);
  const { source, from, to, step } = range;
  const values = [from, Math.ceil(to), step, subject.service ?? '', subject.instance ?? '', database.site];
  const steps = stepsOf(range).map(emptySeriesTotals);
  const { rows } = await database.query<SumsRow>(sumsPerStep(source, kind), values);
  for (const { slot, latency, ...row } of rows)
    addRow(steps[slot], { ...row, latency: parseSketch(latency) });
  const peers = kind === 'instance' ? await readPeers(database, range, values, steps) : null;
  const sessions = await readSessions(database, kind, values, steps.length);
  if (source === 'minutes') {
    for (const record of pending) addPending(steps, range, subject, record);
  }
  return { steps, ...sessions, peers };
}

const kindOf = ({ service, instance }: SeriesSubject): SubjectKind =>
  instance ? 'instance' : service ? 'service' : 'site';

/** Columns of the database by the names of the sums. */
const NAMES: Record<string, keyof SeriesTotals> = {
  requests: 'requests',
  failed: 'failed',
  failures: 'failed',
  attempts: 'attempts',
  retries: 'retries',
  hedges: 'hedges',
  limited: 'limited',
  status_2xx: 'status2xx',
  status_3xx: 'status3xx',
  status_4xx: 'status4xx',
  status_5xx: 'status5xx',
  samples: 'samples',
  up_samples: 'upSamples',
  concurrency_sum: 'concurrencySum',
  concurrency_samples: 'concurrencySamples',
  queued_max: 'queuedMax',
  breaker_samples: 'breakerSamples',
  outlier_samples: 'outlierSamples',
  probes: 'probes',
  probes_failed: 'probesFailed',
  probe_ms_sum: 'probeMsSum',
  latency: 'latency',
};

function addRow(into: SeriesTotals | undefined, row: Record<string, unknown>): void {
  if (!into) return;
  const entries = Object.entries(row).flatMap(([column, value]) => {
    const name = NAMES[column];
    return name ? [[name, value ?? null]] : [];
  });
  addSeriesTotals(into, Object.fromEntries(entries) as Partial<SeriesTotals>);
}

/** A row that is not written yet, as the statements would count it. */
function addPending(
  steps: readonly SeriesTotals[],
  range: SeriesRange,
  { service, instance }: SeriesSubject,
  { table, row }: HistoryRecord,
): void {
  const into = steps[Math.floor((Number(row.timestamp) - range.from) / range.step)];
  if (!into) return;
  const isOfService = row.service_type === service;
  if (table === 'request_minutes' && instance === undefined && (isOfService || service === undefined)) {
    addRow(into, service === undefined ? { ...row, latency: null } : row);
  }
  if (table !== 'latency_minutes') return;
  if (isOfService && instance !== undefined && typeof row.attempts === 'number') {
    addSeriesTotals(into, { serviceAttempts: row.attempts });
  }
  if (row.service_type === (service ?? '') && row.instance_id === (instance ?? '')) {
    addRow(into, { ...row, requests: row.attempts, concurrency_samples: row.samples });
  }
}

interface PeersRow extends Record<string, unknown> {
  slot: number;
  attempts: number | null;
  peers: number;
  p50: number | null;
  p95: number | null;
  error_percent: number | null;
}

async function readPeers(
  database: Queryable,
  { source }: SeriesRange,
  values: readonly unknown[],
  steps: readonly SeriesTotals[],
): Promise<SeriesData['peers']> {
  const { rows } = await database.query<PeersRow>(peersPerStep(source), values);
  const bySlot = new Map(rows.map((row) => [row.slot, row]));
  for (const { slot, attempts } of rows) {
    const into = steps[slot];
    if (into) addSeriesTotals(into, { serviceAttempts: attempts });
  }
  const count = bySlot.get(-1)?.peers ?? 0;
  if (count === 0) return null;
  const figures = (row: PeersRow | undefined): PeerFigures => ({
    p50Ms: row?.p50 ?? null,
    p95Ms: row?.p95 ?? null,
    errorPercent: row?.error_percent ?? null,
  });
  return {
    count,
    steps: steps.map((_, slot) => figures(bySlot.get(slot))),
    total: figures(bySlot.get(-1)),
  };
}

async function readSessions(
  database: Queryable,
  kind: SubjectKind,
  values: readonly unknown[],
  count: number,
): Promise<Pick<SeriesData, 'sessions' | 'sessionCount'>> {
  const { rows } = await database.query<{ first: number; last: number; sessions: number }>(
    sessionsByStep(kind),
    values,
  );
  const changes = new Array<number>(count + 1).fill(0);
  let sessionCount = 0;
  for (const { first, last, sessions } of rows) {
    sessionCount += sessions;
    changes[first] = (changes[first] ?? 0) + sessions;
    const after = Math.min(last, count - 1) + 1;
    changes[after] = (changes[after] ?? 0) - sessions;
  }
  let current = 0;
  const sessions = changes.slice(0, count).map((change) => {
    current += change;
    return current;
  });
  return { sessions, sessionCount };
}
