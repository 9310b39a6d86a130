import type { EdgeReport } from '../../../shared/edge-report.ts';
import { compareSnapshotOrder, type SnapshotOrder } from '../../../shared/snapshot/snapshot.ts';
import type { PlatformFacts } from './platform.ts';

/** What the edge's reports show about the edge itself. */
export interface EdgeWatch {
  accept(report: EdgeReport, now: number): void;
  facts(): PlatformFacts['edge'];
}

export function createEdgeWatch(): EdgeWatch {
  let lastReport: number | null = null;
  let newest: SnapshotOrder | null = null;
  return {
    accept({ snapshot }, now) {
      lastReport = now;
      if (snapshot && (!newest || compareSnapshotOrder(newest, snapshot) < 0)) newest = snapshot;
    },
    facts: () => ({ lastReport, newest }),
  };
}

/** Remembers the order of a minute ago, because an edge that lags by seconds is healthy. */
export function createOrderHistory(keepMs = 60_000) {
  let orders: { at: number; order: SnapshotOrder }[] = [];
  return (order: SnapshotOrder | null, now: number): SnapshotOrder | null => {
    const last = orders.at(-1)?.order;
    if (order && (!last || compareSnapshotOrder(last, order) < 0)) orders.push({ at: now, order });
    const old = orders.findLastIndex(({ at }) => at <= now - keepMs);
    if (old > 0) orders = orders.slice(old);
    return old >= 0 ? (orders[0]?.order ?? null) : null;
  };
}
