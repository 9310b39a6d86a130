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

/** The report for a terminal. */
export function reportText(report: Report, terminal: Terminal): string {
  const { services, targets, instances, incidents, breakers, notes } = report;
  const bold = (text: string) => terminal.paint('bold', text);
  const good = allTargetsMet(report);
  const parts = [
    wrapText(
      `${bold(`Report of site ${report.site}`)}, ${instant(report.from)} to ${instant(report.to)} UTC`,
      0,
      terminal,
    ),
    terminal.paint(good ? 'green' : 'red', wrapText(verdict(report), 0, terminal)),
  ];
  if (services.length > 0) {
    parts.push(
      formatTable(
        services,
        [
          { title: 'SERVICE', value: ({ service }) => service },
          { title: 'REQUESTS', align: 'right', value: ({ requests }) => count(requests) },
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
            style: ({ availability }) =>
              (availability?.ratio ?? 1) < targets.availability ? 'red' : 'reset',
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
      ),
      terminal.paint(
        'dim',
        wrapText(
          `Targets: availability ${percent(targets.availability, 1)}, p95 ${targets.p95Ms} ms, errors ${share(targets.errorRate)}. Budget used: of the failures the availability target allows.`,
          0,
          terminal,
        ),
      ),
    );
  }
  const slow = instances.filter(({ latency }) => latency).slice(0, 5);
  if (slow.length > 0) {
    parts.push(
      `${bold('Slowest instances')}\n${formatTable(
        slow,
        [
          { title: 'INSTANCE', shrinkFactor: 1, value: ({ instance }) => instance },
          { title: 'P50 ms', align: 'right', value: ({ latency }) => milliseconds(latency?.p50 ?? null) },
          { title: 'P95 ms', align: 'right', value: ({ latency }) => milliseconds(latency?.p95 ?? null) },
          { title: 'P99 ms', align: 'right', value: ({ latency }) => milliseconds(latency?.p99 ?? null) },
        ],
        terminal,
      )}`,
    );
  }
  const real = incidents.filter(({ kind }) => kind !== 'maintenance');
  parts.push(
    real.length === 0
      ? `${bold('Incidents')}: none`
      : `${bold('Incidents')}: ${real.length}${real.length > MAX_LINES ? `, the newest ${MAX_LINES}` : ''}\n${formatTable(
          real.slice(0, MAX_LINES),
          [
            { title: 'BEGAN (UTC)', value: ({ start }) => instant(start) },
            {
              title: 'LASTED',
              dropPriority: 1,
              value: ({ seconds, end }) => `${formatDuration(seconds)}${end === null ? ', still' : ''}`,
            },
            {
              title: 'WHAT',
              shrinkFactor: 0.6,
              minWidth: 16,
              value: ({ kind, service, instance }) => `${instance ?? service} ${kind}`,
            },
            { title: 'WHY', shrinkFactor: 1, minWidth: 16, value: ({ reason }) => reason },
          ],
          terminal,
        )}`,
  );
  if (breakers.length > 0) {
    parts.push(
      `${bold('Breaker openings')}\n${breakers
        .slice(0, MAX_LINES)
        .map(
          (one) =>
            `  ${wrapText(`${one.instance}  ${one.openings}, last ${instant(one.lastAt)}: ${one.lastReason}`, 4, terminal)}`,
        )
        .join('\n')}`,
    );
  }
  if (notes.length > 0)
    parts.push(notes.map((note) => terminal.paint('dim', wrapText(`Note: ${note}`, 0, terminal))).join('\n'));
  return parts.join('\n\n');
}
