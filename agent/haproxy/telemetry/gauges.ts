import { instanceKey, type TrafficDelta, type TrafficGauges } from '../../core/state.ts';

/** The gauges of each instance, summed over all HAProxies of the site. */
export interface SiteGauges {
  /** The same deltas with the gauges of the whole site. */
  sumOverSources(source: string, deltas: readonly TrafficDelta[]): TrafficDelta[];
  forget(source: string): void;
}

const GAUGES = ['inflight', 'queued', 'inflightLimit', 'longLived', 'longLivedLimit'] as const;

export function createSiteGauges(): SiteGauges {
  const bySource = new Map<string, Map<string, TrafficGauges>>();
  return {
    sumOverSources(source, deltas) {
      const own = bySource.get(source) ?? new Map<string, TrafficGauges>();
      bySource.set(source, own);
      return deltas.map((delta) => {
        const key = instanceKey(delta.service, delta.instance);
        // A delta has the gauges of one of the instance's two servers.
        const given = GAUGES.filter((gauge) => delta[gauge] !== undefined);
        own.set(key, { ...own.get(key), ...Object.fromEntries(given.map((gauge) => [gauge, delta[gauge]])) });
        const all = [...bySource.values()].map((gauges) => gauges.get(key));
        const sums = given.map((gauge) => [gauge, all.reduce((sum, each) => sum + (each?.[gauge] ?? 0), 0)]);
        return { ...delta, ...Object.fromEntries(sums) };
      });
    },
    forget: (source) => void bySource.delete(source),
  };
}
