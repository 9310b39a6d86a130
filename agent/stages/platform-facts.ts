import { createOrderHistory } from '../alerting/conditions/edge-watch.ts';
import type { PlatformFacts } from '../alerting/conditions/platform.ts';
import type { Sink } from '../core/sink.ts';
import { instanceKey } from '../core/state.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { SnapshotSink } from '../snapshot/sink.ts';
import type { Core } from './core.ts';
import type { Setup } from './setup.ts';
import type { Stores } from './stores.ts';

/** If there was traffic within this time, an edge without reports is suspicious. */
const EDGE_TRAFFIC_MS = 60_000;

/** The facts that alert conditions use besides instances and figures. */
export function createPlatformFacts(
  { config }: Setup,
  { window }: Stores,
  { edgeWatch, refusedConfig }: Core,
  {
    sinks,
    snapshot,
    discovery,
  }: { sinks: readonly Sink[]; snapshot: SnapshotSink | null; discovery: Discovery },
): () => PlatformFacts {
  const expectedOrder = createOrderHistory();
  return () => {
    const now = Date.now();
    const spanMs = Math.min(EDGE_TRAFFIC_MS, config().monitor.window);
    const published = snapshot?.published();
    return {
      sinks: sinkStatuses(sinks),
      snapshot: snapshot
        ? {
            publishedAt: published?.at ?? null,
            expected: expectedOrder(published?.order ?? null, now),
            error: snapshot.status().lastError,
          }
        : null,
      edge: edgeWatch.facts(),
      recentRequests: window.readOne(instanceKey('', ''), now, spanMs).attempts,
      refusedConfig: refusedConfig.get(),
      sources: discovery.statuses(),
      now,
    };
  };
}

export const sinkStatuses = (sinks: readonly Sink[]) =>
  Object.fromEntries(sinks.map((sink) => [sink.name, sink.status()]));
