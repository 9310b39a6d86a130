import type { Report } from './report.ts';

const HEAD = [
  'service',
  'start',
  'requests',
  'failures',
  'mean_rate_per_s',
  'peak_rate_per_s',
  'p50_ms',
  'p95_ms',
  'p99_ms',
  'availability',
] as const;

/**
 * RFC 4180. For each service one line per bucket, with `start` in ISO 8601 UTC, then a line with start `total`. Unknown
 * values are empty.
 */
export function reportCsv(report: Report): string {
  const lines: string[][] = [[...HEAD]];
  for (const service of report.services) {
    for (const one of service.series) {
      lines.push([
        service.service,
        new Date(one.start * 1000).toISOString(),
        ...[
          one.requests,
          one.failures,
          one.meanRate,
          one.peakRate,
          one.p50,
          one.p95,
          one.p99,
          one.availability,
        ].map(number),
      ]);
    }
    const { latency, availability } = service;
    lines.push([
      service.service,
      'total',
      ...[
        ...[service.requests, service.failures, service.meanRate, service.peakRate],
        ...[latency?.p50, latency?.p95, latency?.p99, availability?.ratio],
      ].map(number),
    ]);
  }
  return `${lines.map((line) => line.map(field).join(',')).join('\r\n')}\r\n`;
}

const number = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : String(Number(value.toPrecision(8)));

/** Quotes where RFC 4180 requires it, and neutralizes formulas, which a spreadsheet would run. */
function field(text: string): string {
  const safe = /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
