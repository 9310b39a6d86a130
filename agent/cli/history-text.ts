import type { ApiHistoryEvent } from '../http/schemas/events.ts';
import type { ApiHistory } from '../http/schemas/history.ts';
import { amount, count, formatDuration, milliseconds, NONE } from '../reports/format.ts';
import { sparkline } from './sparkline.ts';
import { formatHistoryEvent } from './status-view.ts';
import { formatTable, replaceControlCharacters, type Terminal } from './terminal.ts';
import { utcMinute } from './time-options.ts';

type Name = keyof ApiHistory['series'];

interface Line {
  title: string;
  values: readonly (number | null)[];
  overall: number | null;
  format(value: number | null): string;
  /** Shown only if a value is above 0. */
  optional?: boolean;
}

const MAX_SPARK_COLUMNS = 60;
/** The other columns with their gaps. */
const OTHER_COLUMNS = 42;

const percentage = (value: number | null): string =>
  value === null ? NONE : `${value === 0 ? '0' : value < 0.01 ? '<0.01' : value.toFixed(2)} %`;

/** A table with a sparkline for each figure, and the events of the range. */
export function formatHistory(
  history: ApiHistory,
  events: readonly ApiHistoryEvent[],
  terminal: Terminal,
): string {
  const { service, instance, from, to, stepSeconds, source } = history;
  const name = replaceControlCharacters([service, instance].filter(Boolean).join('/'));
  const width = Math.max(
    8,
    Math.min(MAX_SPARK_COLUMNS, terminal.columns - OTHER_COLUMNS, history.times.length),
  );
  const rows = linesOf(history).filter(
    ({ values, optional }) => !optional || values.some((value) => value !== null && value > 0),
  );
  const table = formatTable(
    rows,
    [
      { title: history.of.toUpperCase(), value: ({ title }) => title },
      { title: 'OVERALL', align: 'right', value: ({ overall, format }) => format(overall) },
      { title: 'HIGHEST', align: 'right', value: ({ values, format }) => format(highest(values)) },
      {
        title: `${utcMinute(from).slice(11)} to ${utcMinute(to).slice(11)} UTC`,
        value: ({ values }) => sparkline(values, width),
      },
    ],
    terminal,
  );
  const head = `${terminal.paint('bold', name)}  ${utcMinute(from)} to ${utcMinute(to)} UTC`;
  const note = `Steps of ${formatDuration(stepSeconds)}, from ${source}. A dot: no data.`;
  return [head, table, terminal.paint('dim', note), eventsText(events, terminal)]
    .filter(Boolean)
    .join('\n\n');
}

function linesOf({ series, totals, peers, of }: ApiHistory): Line[] {
  const line = (title: string, name: Name, format: Line['format'], optional = false): Line => ({
    title,
    values: series[name] ?? [],
    overall: totals[name] ?? null,
    format,
    optional,
  });
  return [
    line(of, 'requests', count),
    line('failed', 'failed', count),
    line('errors', 'errorPercent', percentage),
    line('available', 'availabilityPercent', percentage),
    line('p50 ms', 'p50Ms', milliseconds),
    line('p95 ms', 'p95Ms', milliseconds),
    ...(peers
      ? [
          {
            title: 'p95 peers',
            values: peers.p95Ms,
            overall: peers.totals.p95Ms,
            format: milliseconds,
            optional: true,
          },
        ]
      : []),
    line('p99 ms', 'p99Ms', milliseconds),
    line('retries', 'retries', count, true),
    line('hedges', 'hedges', count, true),
    line('limited', 'limited', count, true),
    line('status 4xx', 'status4xx', count, true),
    line('status 5xx', 'status5xx', count, true),
    line('in flight', 'concurrency', amount),
    line('sessions', 'sessions', count, true),
    line('share', 'trafficPercent', percentage, true),
    line('probes failed', 'probesFailed', count, true),
    line('breaker', 'breakerOpenPercent', percentage, true),
    line('outlier', 'outlierPercent', percentage, true),
  ];
}

function highest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}

function eventsText(events: readonly ApiHistoryEvent[], terminal: Terminal): string {
  if (events.length === 0) return 'Events: none';
  const lines = events.toReversed().map((event) => formatHistoryEvent(event, terminal));
  return `${terminal.paint('bold', 'Events (UTC)')}\n${lines.join('\n')}`;
}
