import type { HistoryRecord } from '../records.ts';
import type { Queryable } from '../sql/database.ts';
import { figuresOf, INSTANCE_COLUMNS, SERIES_COLUMNS, type SeriesRow } from './columns.ts';
import { type SeriesSource, seriesRange, stepsOf } from './range.ts';
import { type PeerFigures, readSeries, type SeriesData, type SeriesSubject } from './read.ts';
import { addSeriesTotals, emptySeriesTotals } from './totals.ts';

export type SeriesColumns = { [name in keyof SeriesRow]: (number | null)[] };

/** History of the site, a service or an instance, in columns of equal length. Times are epoch milliseconds. */
export interface History {
  site: string;
  service?: string;
  instance?: string;
  of: 'requests' | 'attempts';
  from: number;
  to: number;
  stepSeconds: number;
  source: SeriesSource;
  times: number[];
  series: SeriesColumns;
  /** The whole range. */
  totals: SeriesRow;
  peers: ({ count: number; totals: PeerFigures } & { [name in keyof PeerFigures]: (number | null)[] }) | null;
}

export interface HistoryQuery extends SeriesSubject {
  /** Epoch milliseconds. */
  from: number;
  to: number;
  now: number;
}

export async function readHistory(
  database: Queryable,
  { from, to, now, ...subject }: HistoryQuery,
  pending: readonly HistoryRecord[],
): Promise<History> {
  const range = seriesRange(from / 1000, to / 1000, now / 1000);
  const data = await readSeries(database, subject, range, pending);
  const isInstance = subject.instance !== undefined;
  const rows = data.steps.map((sums, index) => figuresOf(sums, data.sessions[index] ?? 0, isInstance));
  const columns = isInstance ? [...SERIES_COLUMNS, ...INSTANCE_COLUMNS] : SERIES_COLUMNS;
  return {
    site: database.site,
    ...subject,
    of: isInstance ? 'attempts' : 'requests',
    from: range.from * 1000,
    to,
    stepSeconds: range.step,
    source: range.source,
    times: stepsOf(range).map((at) => at * 1000),
    series: Object.fromEntries(
      columns.map((name) => [name, rows.map((row) => row[name] ?? null)]),
    ) as SeriesColumns,
    totals: totalsOf(data, isInstance),
    peers: data.peers && {
      count: data.peers.count,
      p50Ms: data.peers.steps.map(({ p50Ms }) => p50Ms),
      p95Ms: data.peers.steps.map(({ p95Ms }) => p95Ms),
      errorPercent: data.peers.steps.map(({ errorPercent }) => errorPercent),
      totals: data.peers.total,
    },
  };
}

function totalsOf({ steps, sessionCount }: SeriesData, isInstance: boolean): SeriesRow {
  const whole = emptySeriesTotals();
  for (const step of steps) addSeriesTotals(whole, step);
  return figuresOf(whole, sessionCount, isInstance);
}
