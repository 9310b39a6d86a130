import { type EdgeReport, REQUEST_COUNTS } from '../../../shared/edge-report.ts';
import type { EdgeSummary } from '../schemas/edge-summary.ts';

const KEEP_MS = 300_000;
const MAX_REPORTS = 2_000;

export interface EdgeReportLog {
  reports: EdgeReport[];
}

/** Adds a report and drops old ones. */
export function recordEdgeReport(log: EdgeReportLog, report: EdgeReport, now: number): void {
  log.reports.push(report);
  const fresh = log.reports.filter((kept) => kept.to > now - KEEP_MS);
  log.reports = fresh.slice(-MAX_REPORTS);
}

/** Sums the reports of the last five minutes; snapshot ages are as of `now`. */
export function summariseEdgeReports(log: EdgeReportLog, now: number): EdgeSummary {
  const reports = log.reports.filter((report) => report.to > now - KEEP_MS);
  const latest = new Map(reports.map((report) => [report.isolate, report]));
  const uses = [...latest.values()]
    .flatMap((report) =>
      report.snapshot ? [{ ...report.snapshot, ageMs: report.snapshot.ageMs + now - report.to }] : [],
    )
    .sort((a, b) => a.epoch - b.epoch || a.seq - b.seq);
  return {
    isolates: latest.size,
    lastReport: reports.length > 0 ? Math.max(...reports.map((report) => report.to)) : null,
    oldest: uses[0] ?? null,
    newest: uses.at(-1) ?? null,
    requests: sumBy(
      reports.flatMap((report) => report.requests),
      (row) => row.service,
      REQUEST_COUNTS,
    ).map(({ row, sums }) => ({ service: row.service, ...sums })),
    limits: sumBy(
      reports.flatMap((report) => report.limits),
      (row) => `${row.service} ${row.policy}`,
      ['allowed', 'denied', 'shadowDenied'],
    ).map(({ row, sums }) => ({ service: row.service, policy: row.policy, ...sums })),
  };
}

function sumBy<Row, Key extends keyof Row & string>(
  rows: readonly Row[],
  group: (row: Row) => string,
  keys: readonly Key[],
): { row: Row; sums: Record<Key, number> }[] {
  const groups = new Map<string, { row: Row; sums: Record<Key, number> }>();
  for (const row of rows) {
    const found = groups.get(group(row));
    const sums = found?.sums ?? (Object.fromEntries(keys.map((key) => [key, 0])) as Record<Key, number>);
    for (const key of keys) sums[key] += Number(row[key]);
    if (!found) groups.set(group(row), { row, sums });
  }
  return [...groups.values()];
}
