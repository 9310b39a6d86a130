import type { Config } from '../../shared/config/config.ts';
import type { EdgeReport, EdgeRequests } from '../../shared/edge-report.ts';
import { sketchCountAbove } from '../../shared/sketch.ts';
import { type RequestDelta, spreadRequests } from '../core/requests.ts';
import type { TrafficDelta } from '../core/state.ts';
import { BUCKET_MS } from '../core/traffic-window.ts';

/** The number of isolates whose last report is remembered. Isolates live for minutes to hours. */
const MAX_ISOLATES = 10_000;

/** Longer reports are those of an edge that could not send: their requests count as if they had just been made. */
const MAX_SPREAD_BUCKETS = 3;

/** What a report says: attempts as evidence about instances, and requests as clients saw them. */
export interface EdgeFigures {
  evidence: TrafficDelta[];
  requests: RequestDelta[];
}

export interface EdgeReportReader {
  /** Null for a report that was already read, here or by another agent of the site. */
  read(report: EdgeReport, now: number): EdgeFigures | null;
  /** Marks a report as read. False when it was already. */
  markRead(report: Pick<EdgeReport, 'isolate' | 'seq'>): boolean;
}

export function createEdgeReportReader(config: () => Config): EdgeReportReader {
  const newest = new Map<string, number>();
  const markRead: EdgeReportReader['markRead'] = ({ isolate, seq }) => {
    if (seq <= (newest.get(isolate) ?? -1)) return false;
    newest.delete(isolate);
    newest.set(isolate, seq);
    const oldest = newest.keys().next();
    if (newest.size > MAX_ISOLATES && !oldest.done) newest.delete(oldest.value);
    return true;
  };
  return {
    markRead,
    read(report, now) {
      if (!markRead(report)) return null;
      return {
        evidence: report.tries.flatMap((tries) => toEvidence(tries, config(), now)),
        requests: report.requests
          .filter(({ service }) => Object.hasOwn(config().services, service))
          .flatMap((requests) => toRequests(requests, report, now)),
      };
    },
  };
}

/** The requests of one service, spread over the time that the report covers: it arrives in one piece, they did not. */
function toRequests(seen: EdgeRequests, { from, to }: EdgeReport, now: number): RequestDelta[] {
  const delta: RequestDelta = {
    source: 'edge',
    service: seen.service,
    at: now,
    statuses: {
      '2xx': seen.status2xx,
      '3xx': seen.status3xx,
      '4xx': seen.status4xx,
      '5xx': seen.status5xx,
    },
    retries: seen.retries,
    hedges: seen.hedges,
    limited: seen.limited,
    latency: seen.latency,
  };
  const buckets = Math.max(1, Math.min(Math.round((to - from) / BUCKET_MS), MAX_SPREAD_BUCKETS));
  return spreadRequests(delta, buckets, BUCKET_MS);
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
