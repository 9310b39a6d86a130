import type { Report, ReportFigures, ReportTargets } from './report.ts';

export interface MissedTargets {
  availability: string[];
  p95: string[];
  errors: string[];
}

/** The services that missed each target. A service without data misses none. */
export function missedTargets({ services, targets }: Pick<Report, 'services' | 'targets'>): MissedTargets {
  const servicesThat = (miss: (one: ReportFigures, targets: ReportTargets) => boolean) =>
    services.filter((one) => miss(one, targets)).map(({ service }) => service);
  return {
    availability: servicesThat(({ availability }) => (availability?.ratio ?? 1) < targets.availability),
    p95: servicesThat(({ latency }) => (latency?.p95 ?? 0) > targets.p95Ms),
    errors: servicesThat(({ errorRate }) => (errorRate ?? 0) > targets.errorRate),
  };
}

/** Whether every service met every target. */
export const allTargetsMet = (report: Pick<Report, 'services' | 'targets'>): boolean =>
  Object.values(missedTargets(report)).every((list: string[]) => list.length === 0);

/** One sentence: whether the targets were met, and which service missed which. */
export function verdict(report: Report): string {
  if (report.services.length === 0) return 'There is no data for this period.';
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
