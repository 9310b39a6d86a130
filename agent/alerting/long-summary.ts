import { isServingState } from '../../shared/serving.ts';
import { instanceKey } from '../core/state.ts';
import { emptyTotals, mergeTotals, type TrafficTotals } from '../core/traffic-window.ts';
import { measure, type SiteSummary, type SiteSummaryInput } from './summary.ts';

const MINUTE_MS = 60_000;
/** Minutes are in the database this long after they ended: late entries, a refresh, and the write. */
const WRITTEN_AFTER_MS = 90_000;

/** Epoch seconds of whole minutes. */
export interface HistoryRange {
  from: number;
  to: number;
}

/**
 * The minutes of the last `windowMs` that the database has; memory has those from `to` on. Shortly after a start the minute
 * of the start is taken from memory, without what an earlier process counted in it.
 */
export function historyRange(now: number, windowMs: number, since: number): HistoryRange {
  const minute = (at: number) => Math.floor(at / MINUTE_MS) * 60;
  const written = minute(now - WRITTEN_AFTER_MS);
  return { from: minute(now - windowMs), to: Math.max(written, minute(since)) };
}

/**
 * The summary of a window that is longer than memory: `history` has the requests of each service before `to`, memory those
 * after. Instances, samples and the host are left out, because history has other figures of them.
 */
export function summarizeWithHistory(
  { config, window, instances, now, spanMs = config.monitor.window }: SiteSummaryInput,
  { to }: HistoryRange,
  history: ReadonlyMap<string, TrafficTotals>,
): SiteSummary {
  const recentMs = Math.max(0, now - to * 1000);
  const seconds = spanMs / 1000;
  const total = emptyTotals();
  const members = Map.groupBy(instances, ({ service }) => service);
  const services = Object.keys(config.services).map((id) => {
    const sum = emptyTotals();
    const parts = [history.get(id), requestsOnly(window.readOne(instanceKey(id, ''), now, recentMs))];
    for (const part of parts) if (part) mergeTotals(sum, part);
    mergeTotals(total, sum);
    const list = members.get(id) ?? [];
    return {
      id,
      up: list.filter(({ state }) => isServingState(state)).length,
      of: list.length,
      ...measure(sum, seconds),
      instances: [],
    };
  });
  return {
    at: now,
    site: config.site.id,
    windowSeconds: Math.round(seconds),
    total: measure(total, seconds),
    host: { cpuPercent: null, memoryPercent: null, samples: 0 },
    services,
  };
}

const requestsOnly = (totals: TrafficTotals): TrafficTotals => ({
  ...totals,
  samples: 0,
  upSamples: 0,
  concurrencySum: 0,
  queuedMax: 0,
});
