import { emptySketch, type Sketch } from '../../shared/sketch.ts';
import type { StatusCounts } from './state.ts';

/** Status classes of responses. 1xx counts as 2xx: the only one that ends a request is 101. */
export const STATUS_CLASSES = ['2xx', '3xx', '4xx', '5xx'] as const;
export type StatusClass = (typeof STATUS_CLASSES)[number];

/**
 * Requests of one service as its clients saw them: each counted once, with the response that the client got. Attempts,
 * of which one request may need several, are TrafficDelta.
 */
export interface RequestDelta {
  /** Who answered the clients: the edge, or this site's gateway for clients that do not use the edge. */
  source: 'edge' | 'gateway';
  service: string;
  /** Epoch milliseconds. */
  at: number;
  /** A response that broke off counts as 5xx. A client that left before the response counts as 4xx. */
  statuses: StatusCounts;
  /** Attempts after the first, because the one before failed. */
  retries: number;
  /** Copies sent to another instance because an attempt was late. */
  hedges: number;
  /** Rejected with 429 by a rate limit; among the 4xx. */
  limited: number;
  /** Milliseconds until the response headers, of requests that were not rejected. */
  latency: Sketch;
}

export const emptyRequests = (source: RequestDelta['source'], service: string, at: number): RequestDelta => ({
  source,
  service,
  at,
  statuses: { '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
  retries: 0,
  hedges: 0,
  limited: 0,
  latency: emptySketch(),
});

export const requestsIn = ({ statuses }: Pick<RequestDelta, 'statuses'>): number =>
  statuses['2xx'] + statuses['3xx'] + statuses['4xx'] + statuses['5xx'];

/** Divides a delta that covers `count` periods into one delta per period, oldest first, `stepMs` apart, the last at `at`. */
export function spreadRequests(delta: RequestDelta, count: number, stepMs: number): RequestDelta[] {
  const { source, service, at, latency } = delta;
  const parts = Array.from({ length: count }, (_, index) =>
    emptyRequests(source, service, at - (count - 1 - index) * stepMs),
  );
  const divide = createDivider(parts);
  for (const name of STATUS_CLASSES) {
    divide(delta.statuses[name], ({ statuses }, times) => {
      statuses[name] = times;
    });
  }
  for (const name of ['retries', 'hedges', 'limited'] as const) {
    divide(delta[name], (part, times) => {
      part[name] = times;
    });
  }
  for (const [bucket, total] of Object.entries(latency.buckets)) {
    divide(total, ({ latency: part }, times) => {
      part.buckets[Number(bucket)] = times;
      part.count += times;
      part.sum += (latency.sum * times) / latency.count;
      part.max = latency.max;
    });
  }
  return parts;
}

/** Divides totals evenly over the parts. The part that gets the remainder rotates, so that single counts do not pile up. */
function createDivider<Part>(parts: readonly Part[]) {
  let phase = 0;
  return (total: number, assign: (part: Part, times: number) => void): void => {
    const offset = phase++ % parts.length;
    const upTo = (index: number) => Math.floor((total * index + offset) / parts.length);
    for (const [index, part] of parts.entries()) {
      const times = upTo(index + 1) - upTo(index);
      if (times > 0) assign(part, times);
    }
  };
}
