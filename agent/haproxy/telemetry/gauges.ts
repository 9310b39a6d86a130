import { instanceKey, type TrafficDelta } from '../../core/state.ts';

/** Requests in flight and queued per instance, summed over all HAProxies of the site. */
export interface SiteGauges {
  /** The same deltas with the gauges of the whole site. */
  sumOverSources(source: string, deltas: readonly TrafficDelta[]): TrafficDelta[];
  forget(source: string): void;
}

export function createSiteGauges(): SiteGauges {
  const bySource = new Map<string, Map<string, { inflight: number; queued: number }>>();
  return {
    sumOverSources(source, deltas) {
      const own = bySource.get(source) ?? new Map();
      bySource.set(source, own);
      return deltas.map((delta) => {
        const key = instanceKey(delta.service, delta.instance);
        own.set(key, { inflight: delta.inflight ?? 0, queued: delta.queued ?? 0 });
        const all = [...bySource.values()].map((gauges) => gauges.get(key));
        return {
          ...delta,
          inflight: all.reduce((sum, gauge) => sum + (gauge?.inflight ?? 0), 0),
          queued: all.reduce((sum, gauge) => sum + (gauge?.queued ?? 0), 0),
        };
      });
    },
    forget: (source) => void bySource.delete(source),
  };
}
