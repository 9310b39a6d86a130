import type { Config } from '../../shared/config/config.ts';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { sketchCountAbove } from '../../shared/sketch.ts';
import type { TrafficDelta } from '../core/state.ts';

/** The number of isolates whose last report is remembered. Isolates live for minutes to hours. */
const MAX_ISOLATES = 10_000;

/** Converts edge reports to evidence. Returns null for a report that was already read. */
export function createEdgeReportReader(
  config: () => Config,
): (report: EdgeReport, now: number) => TrafficDelta[] | null {
  const newest = new Map<string, number>();
  return (report, now) => {
    if (report.seq <= (newest.get(report.isolate) ?? -1)) return null;
    newest.delete(report.isolate);
    newest.set(report.isolate, report.seq);
    const oldest = newest.keys().next();
    if (newest.size > MAX_ISOLATES && !oldest.done) newest.delete(oldest.value);
    return report.tries.flatMap((tries) => toEvidence(tries, config(), now));
  };
}

/** The evidence of one instance. Requests through the gateway are left out, because HAProxy reports them. */
function toEvidence(tries: EdgeReport['tries'][number], config: Config, now: number): TrafficDelta[] {
  const service = Object.hasOwn(config.services, tries.service) ? config.services[tries.service] : undefined;
  if (!service || tries.path === 'gateway') return [];
  return [
    {
      kind: 'traffic',
      source: 'edge',
      service: tries.service,
      instance: tries.instance,
      at: now,
      success: tries.success,
      failure: tries.failure,
      slow: sketchCountAbove(tries.latency, service.breaker.slowCall),
      ...(tries.latency.count > 0 && { latency: tries.latency }),
    },
  ];
}
