import type { Report, ReportFigures, ReportTargets } from './report.ts';

export interface MissedTargets {
  availability: string[];
  p95: string[];
  errors: string[];
}

/** Which services missed which target. A figure nobody has is no miss. */
export function missedTargets({ services, targets }: Pick<Report, 'services' | 'targets'>): MissedTargets {
  const missing = (judge: (one: ReportFigures, targets: ReportTargets) => boolean) =>
    services.filter((one) => judge(one, targets)).map(({ service }) => service);
  return {
    availability: missing(({ availability }) => (availability?.ratio ?? 1) < targets.availability),
    p95: missing(({ latency }) => (latency?.p95 ?? 0) > targets.p95Ms),
    errors: missing(({ errorRate }) => (errorRate ?? 0) > targets.errorRate),
  };
}

/** Whether every target was met by every service. */
export const allTargetsMet = (report: Pick<Report, 'services' | 'targets'>): boolean =>
  Object.values(missedTargets(report)).every((list: string[]) => list.length === 0);

/** One sentence that says whether all was well. */
export function verdict(report: Report): string {
  if (report.services.length === 0) return 'Nothing was recorded in this period.';
  const { availability, p95, errors } = missedTargets(report);
  const parts = [
    ...(availability.length > 0 ? [`availability by ${availability.join(', ')}`] : []),
    ...(p95.length > 0 ? [`response time by ${p95.join(', ')}`] : []),
    ...(errors.length > 0 ? [`error rate by ${errors.join(', ')}`] : []),
  ];
  return parts.length === 0
    ? report.services.length === 1
      ? 'The service met every target.'
      : `All ${report.services.length} services met every target.`
    : `Targets missed: ${parts.join('; ')}.`;
}
