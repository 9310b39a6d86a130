import { addToSketch } from '../../../shared/sketch.ts';
import { emptyRequests, type RequestDelta, type StatusClass } from '../../core/requests.ts';
import type { LogFields } from './log-line.ts';

/** Counts the requests of clients that do not use the edge, and the retries of HAProxy itself. */
export interface RequestCounter {
  count(line: LogFields): void;
  /** The counts since the last call, one delta per service. */
  take(now: number): RequestDelta[];
}

const TOO_MANY_REQUESTS = 429;

export function createRequestCounter(isService: (name: string) => boolean): RequestCounter {
  let counts = new Map<string, RequestDelta>();

  function deltaOf(service: string): RequestDelta {
    const delta = counts.get(service) ?? emptyRequests('gateway', service, 0);
    counts.set(service, delta);
    return delta;
  }

  return {
    count(line) {
      const service = serviceOf(line);
      if (!isService(service)) return;
      if (line.retries > 0) deltaOf(service).retries += line.retries;
      if (line.countedByEdge) return;
      const delta = deltaOf(service);
      delta.statuses[statusClassOf(line)] += 1;
      const isRejected = line.flags.startsWith('PR') && line.status < 500;
      if (isRejected && line.status === TOO_MANY_REQUESTS) delta.limited += 1;
      const latencyMs = clientLatency(line.timers);
      if (!isRejected && !line.longLived && latencyMs !== null) addToSketch(delta.latency, latencyMs);
    },
    take(now) {
      const taken = [...counts.values()].map((delta) => ({ ...delta, at: now }));
      counts = new Map();
      return taken;
    },
  };
}

/** A request that the frontend rejected has no backend, but usually a route. */
function serviceOf({ target, routed }: LogFields): string {
  const backend = target.slice(0, target.indexOf('/'));
  return backend.startsWith('_') ? routed : backend;
}

/**
 * The status that the client got. A response that the server cut off is a failure. Without a status (-1) the client left
 * first.
 */
function statusClassOf({ status, flags }: LogFields): StatusClass {
  const isCutOff = flags[1] === 'D' && (flags.startsWith('S') || flags.startsWith('s'));
  if (status >= 500 || isCutOff) return '5xx';
  if (status >= 400 || status < 100) return '4xx';
  return status >= 300 ? '3xx' : '2xx';
}

/** Milliseconds from the complete request to the response headers, the queue included; without headers the whole wait. */
function clientLatency(timers: string): number | null {
  const [, queue = -1, connect = -1, response = -1, total = -1] = timers.split('/').map(Number);
  if (response >= 0) return Math.max(0, queue) + Math.max(0, connect) + response;
  return total >= 0 ? total : null;
}
