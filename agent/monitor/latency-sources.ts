import { emptySketch, mergeSketch, type Sketch } from '../../shared/sketch.ts';
import type { TrafficDelta } from '../state.ts';

/**
 * Latencies of one instance by who measured them. HAProxy and the edge both time a request that passes both, so only one
 * of the two may count: HAProxy's, which sees all that passes the gateway, or the edge's where HAProxy sends none.
 */
export interface LatencySources {
  haproxy: Sketch | null;
  /** Straight from the edge: nobody else saw these. */
  direct: Sketch | null;
  /** By the edge, of requests through the gateway. */
  gateway: Sketch | null;
}

export const emptySources = (): LatencySources => ({ haproxy: null, direct: null, gateway: null });

export function addLatency(sources: LatencySources, delta: TrafficDelta): void {
  if (!delta.latency?.count) return;
  // The edge leaves counts out of what HAProxy has counted already.
  const passed = delta.success + delta.failure === 0;
  const source = delta.source === 'haproxy' ? 'haproxy' : passed ? 'gateway' : 'direct';
  const sketch = sources[source] ?? emptySketch();
  mergeSketch(sketch, delta.latency);
  sources[source] = sketch;
}

export function mergeSources(into: LatencySources, from: LatencySources): void {
  for (const source of ['haproxy', 'direct', 'gateway'] as const) {
    const other = from[source];
    if (!other) continue;
    const sketch = into[source] ?? emptySketch();
    mergeSketch(sketch, other);
    into[source] = sketch;
  }
}

/** Each request once; null when nobody measured any. */
export function oneSketch({ haproxy, direct, gateway }: LatencySources): Sketch | null {
  const passed = haproxy ?? gateway;
  if (!passed || !direct) return passed ?? direct;
  const both = emptySketch();
  mergeSketch(both, passed);
  mergeSketch(both, direct);
  return both;
}
