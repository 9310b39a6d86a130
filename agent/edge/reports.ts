import type { Config } from '../../shared/config/config.ts';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { sketchCountAbove } from '../../shared/sketch.ts';
import type { TrafficDelta } from '../core/state.ts';

/** Isolates live minutes to hours; this many are remembered to tell a repeated report. */
const MAX_ISOLATES = 10_000;

/** Turns reports into evidence, each report once. */
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
    return report.tries.flatMap((tries) => evidence(tries, config(), now));
  };
}

/** What went through the gateway HAProxy has counted and timed already. */
function evidence(tries: EdgeReport['tries'][number], config: Config, now: number): TrafficDelta[] {
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
      ...(tries.latency.count > 0 ? { latency: tries.latency } : {}),
    },
  ];
}
