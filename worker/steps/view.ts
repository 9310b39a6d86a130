import type { View } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { type IncomingRequest, watchClientDisconnect } from './guard.ts';

/**
 * The view in this isolate's memory. When a refresh is due, it runs in the background; only the first requests of a new
 * isolate wait for it, and without any snapshot those of one search every two seconds. Null: there is no snapshot.
 */
export function currentView(
  incoming: IncomingRequest,
  edge: Edge,
  ctx: ExecutionContext,
): View | null | Promise<View | null> {
  const { snapshots, polls, refresher } = edge;
  if (snapshots.view) {
    if (polls.countRequest(incoming.startedAt)) {
      ctx.waitUntil(refresher.refresh());
      watchClientDisconnect(incoming);
    }
    return snapshots.view;
  }
  if (!polls.isSearchDue(incoming.startedAt)) return null;
  // Not shared between requests: the runtime ends a refresh together with the request that started it.
  return refresher.refresh().then(() => snapshots.view);
}
