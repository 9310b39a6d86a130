import {
  amount,
  count,
  formatDuration,
  instant,
  milliseconds,
  NONE,
  percent,
  share,
} from '../reports/format.ts';
import type { Report } from '../reports/report.ts';
import { allTargetsMet, verdict } from '../reports/verdict.ts';
import { formatTable, type Terminal, wrapText } from './terminal.ts';

const MAX_LINES = 10;
const MAX_SLOW_INSTANCES = 5;

export function formatReport(report: Report, terminal: Terminal): string {
  const { services, notes } = report;
  const parts = [
    wrapText(
      `${terminal.paint('bold', `Report of site ${report.site}`)}, ${instant(report.from)} to ${instant(report.to)} UTC`,
      0,
      terminal,
    ),
    terminal.paint(allTargetsMet(report) ? 'green' : 'red', wrapText(verdict(report), 0, terminal)),
    ...(services.length > 0 ? [servicesTable(report, terminal), targetsText(report, terminal)] : []),
    slowestInstances(report, terminal),
    incidentsText(report, terminal),
    breakerOpenings(report, terminal),
    notes.map((note) => terminal.paint('dim', wrapText(`Note: ${note}`, 0, terminal))).join('\n'),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function servicesTable({ services, targets }: Report, terminal: Terminal): string {
  return formatTable(
    services,
    [
      { title: 'SERVICE', value: ({ service }) => service },
      { title: 'REQUESTS', align: 'right', value: ({ requests }) => count(requests) },
      { title: 'ATTEMPTS', dropPriority: 6, align: 'right', value: ({ attempts }) => count(attempts) },
      { title: 'RETRIES', dropPriority: 7, align: 'right', value: ({ retries }) => count(retries) },
      { title: 'HEDGES', dropPriority: 7, align: 'right', value: ({ hedges }) => count(hedges) },
      { title: 'MEAN/S', dropPriority: 5, align: 'right', value: ({ meanRate }) => amount(meanRate) },
      { title: 'PEAK/S', dropPriority: 4, align: 'right', value: ({ peakRate }) => amount(peakRate) },
      {
        title: 'P50 ms',
        dropPriority: 4,
        align: 'right',
        value: ({ latency }) => milliseconds(latency?.p50 ?? null),
      },
      {
        title: 'P95 ms',
        align: 'right',
        value: ({ latency }) => milliseconds(latency?.p95 ?? null),
        style: ({ latency }) => ((latency?.p95 ?? 0) > targets.p95Ms ? 'red' : 'reset'),
      },
      {
        title: 'P99 ms',
        dropPriority: 3,
        align: 'right',
        value: ({ latency }) => milliseconds(latency?.p99 ?? null),
      },
      {
        title: 'ERRORS',
        align: 'right',
        value: ({ errorRate }) => share(errorRate),
        style: ({ errorRate }) => ((errorRate ?? 0) > targets.errorRate ? 'red' : 'reset'),
      },
      {
        title: 'AVAILABLE',
        align: 'right',
        value: ({ availability }) => percent(availability?.ratio ?? null, 3),
        style: ({ availability }) => ((availability?.ratio ?? 1) < targets.availability ? 'red' : 'reset'),
      },
      {
        title: 'BUDGET USED',
        dropPriority: 1,
        align: 'right',
        value: ({ availability }) => (availability ? share(availability.burned) : NONE),
      },
      { title: 'OUTAGES', dropPriority: 3, align: 'right', value: ({ outages }) => count(outages) },
      {
        title: 'BREAKERS',
        dropPriority: 3,
        align: 'right',
        value: ({ breakerOpenings }) => count(breakerOpenings),
      },
    ],
    terminal,
  );
}

function targetsText({ targets }: Report, terminal: Terminal): string {
  const text =
    `Targets: availability ${percent(targets.availability, 1)}, p95 ${targets.p95Ms} ms, errors ${share(targets.errorRate)}. ` +
    'BUDGET USED is the share of the error budget, which the availability target sets.';
  return terminal.paint('dim', wrapText(text, 0, terminal));
}

function slowestInstances({ instances }: Report, terminal: Terminal): string {
  const slowest = instances.filter(({ latency }) => latency).slice(0, MAX_SLOW_INSTANCES);
  if (slowest.length === 0) return '';
  const rows = formatTable(
    slowest,
    [
      { title: 'INSTANCE', shrinkFactor: 1, value: ({ instance }) => instance },
      { title: 'P50 ms', align: 'right', value: ({ latency }) => milliseconds(latency?.p50 ?? null) },
      { title: 'P95 ms', align: 'right', value: ({ latency }) => milliseconds(latency?.p95 ?? null) },
      { title: 'P99 ms', align: 'right', value: ({ latency }) => milliseconds(latency?.p99 ?? null) },
    ],
    terminal,
  );
  return `${terminal.paint('bold', 'Slowest instances')}\n${rows}`;
}

function incidentsText({ incidents }: Report, terminal: Terminal): string {
  const title = terminal.paint('bold', 'Incidents');
  const unplanned = incidents.filter(({ kind }) => kind !== 'maintenance');
  if (unplanned.length === 0) return `${title}: none`;
  const shown = unplanned.length > MAX_LINES ? `, the newest ${MAX_LINES}` : '';
  const rows = formatTable(
    unplanned.slice(0, MAX_LINES),
    [
      { title: 'START (UTC)', value: ({ start }) => instant(start) },
      {
        title: 'DURATION',
        dropPriority: 1,
        value: ({ seconds, end }) => `${formatDuration(seconds)}${end === null ? ', ongoing' : ''}`,
      },
      {
        title: 'INCIDENT',
        shrinkFactor: 0.6,
        minWidth: 16,
        value: ({ kind, service, instance }) => `${instance ?? service} ${kind}`,
      },
      { title: 'REASON', shrinkFactor: 1, minWidth: 16, value: ({ reason }) => reason },
    ],
    terminal,
  );
  return `${title}: ${unplanned.length}${shown}\n${rows}`;
}

function breakerOpenings({ breakers }: Report, terminal: Terminal): string {
  if (breakers.length === 0) return '';
  const lines = breakers
    .slice(0, MAX_LINES)
    .map(
      ({ instance, openings, lastAt, lastReason }) =>
        `  ${wrapText(`${instance}  ${openings}, last ${instant(lastAt)}: ${lastReason}`, 4, terminal)}`,
    );
  return `${terminal.paint('bold', 'Breaker openings')}\n${lines.join('\n')}`;
}
