import { type Terminal, table, wrap } from '../cli/terminal.ts';
import { amount, count, instant, lasting, milliseconds, NONE, percent, share } from './format.ts';
import type { Report } from './report.ts';
import { allMet, verdict } from './verdict.ts';

const MAX_LINES = 10;

/** The report for a terminal. */
export function reportText(report: Report, terminal: Terminal): string {
  const { services, targets, instances, incidents, breakers, notes } = report;
  const bold = (text: string) => terminal.paint('bold', text);
  const good = allMet(report);
  const parts = [
    wrap(
      `${bold(`Report of site ${report.site}`)}, ${instant(report.from)} to ${instant(report.to)} UTC`,
      0,
      terminal,
    ),
    terminal.paint(good ? 'green' : 'red', wrap(verdict(report), 0, terminal)),
  ];
  if (services.length > 0) {
    parts.push(
      table(
        services,
        [
          { title: 'SERVICE', value: ({ service }) => service },
          { title: 'REQUESTS', align: 'right', value: ({ requests }) => count(requests) },
          { title: 'MEAN/S', optional: 5, align: 'right', value: ({ meanRate }) => amount(meanRate) },
          { title: 'PEAK/S', optional: 4, align: 'right', value: ({ peakRate }) => amount(peakRate) },
          {
            title: 'P50 ms',
            optional: 4,
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
            optional: 3,
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
            optional: 1,
            align: 'right',
            value: ({ availability }) => (availability ? share(availability.burned) : NONE),
          },
          { title: 'OUTAGES', optional: 3, align: 'right', value: ({ outages }) => count(outages) },
          {
            title: 'BREAKERS',
            optional: 3,
            align: 'right',
            value: ({ breakerOpenings }) => count(breakerOpenings),
          },
        ],
        terminal,
      ),
      terminal.paint(
        'dim',
        wrap(
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
      `${bold('Slowest instances')}\n${table(
        slow,
        [
          { title: 'INSTANCE', shrink: 1, value: ({ instance }) => instance },
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
      : `${bold('Incidents')}: ${real.length}${real.length > MAX_LINES ? `, the newest ${MAX_LINES}` : ''}\n${table(
          real.slice(0, MAX_LINES),
          [
            { title: 'BEGAN (UTC)', value: ({ start }) => instant(start) },
            {
              title: 'LASTED',
              optional: 1,
              value: ({ seconds, end }) => `${lasting(seconds)}${end === null ? ', still' : ''}`,
            },
            {
              title: 'WHAT',
              shrink: 0.6,
              least: 16,
              value: ({ kind, service, instance }) => `${instance ?? service} ${kind}`,
            },
            { title: 'WHY', shrink: 1, least: 16, value: ({ reason }) => reason },
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
            `  ${wrap(`${one.instance}  ${one.openings}, last ${instant(one.lastAt)}: ${one.lastReason}`, 4, terminal)}`,
        )
        .join('\n')}`,
    );
  }
  if (notes.length > 0)
    parts.push(notes.map((note) => terminal.paint('dim', wrap(`Note: ${note}`, 0, terminal))).join('\n'));
  return parts.join('\n\n');
}
