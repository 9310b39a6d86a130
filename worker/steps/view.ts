import type { View } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import { type IncomingRequest, watchClientDisconnect } from '../incoming-request.ts';

/** A request waits this long for a repeated search. Then it uses the fallback, and the search goes on. */
const SEARCH_PATIENCE_MS = 250;

/**
 * The view in this isolate's memory. When a refresh is due, it runs in the background; only the first requests of a new
 * isolate wait for it. Without any snapshot one request searches every two seconds. Null: there is no snapshot.
 */
export function currentView(
  incoming: IncomingRequest,
  edge: Pick<Edge, 'snapshots' | 'polls' | 'refresher'>,
  ctx: Pick<ExecutionContext, 'waitUntil'>,
): View | null | Promise<View | null> {
  const { snapshots, polls, refresher } = edge;
  if (snapshots.view) {
    if (polls.countRequest(incoming.startedAt)) {
      ctx.waitUntil(refresher.refresh());
      watchClientDisconnect(incoming);
    }
    return snapshots.view;
  }
  const due = polls.searchDue(incoming.startedAt);
  if (due === null) return null;
  // Not shared between requests: the runtime ends a refresh together with the request that started it.
  const searching = refresher.refresh().then(() => snapshots.view);
  if (due === 'first') return searching;
  ctx.waitUntil(searching);
  return Promise.race([searching, afterPatience()]);
}

const afterPatience = (): Promise<null> =>
  new Promise((resolve) => setTimeout(() => resolve(null), SEARCH_PATIENCE_MS));
