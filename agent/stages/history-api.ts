import type { Change } from '../core/state.ts';
import { readEvents } from '../history/events.ts';
import { changeRecords } from '../history/records.ts';
import { readHistory } from '../history/series/series.ts';
import type { ApiContext } from '../http/api/context.ts';
import { createQueryGate } from '../http/api/query-gate.ts';
import type { Core } from './core.ts';
import type { Setup } from './setup.ts';
import type { Stores } from './stores.ts';

/** A query of history fails after this time. */
const QUERY_TIMEOUT_MS = 10_000;

type HistoryApi = Pick<ApiContext, 'readHistory' | 'readEvents' | 'queries' | 'recordChange' | 'audit'>;

/** The API's access to history. */
export function createHistoryApi({ log }: Setup, { history }: Stores, core: Core): HistoryApi {
  const { database, sink } = history;
  const timeout = { timeoutMs: QUERY_TIMEOUT_MS };
  return {
    readHistory: (query) =>
      database.transaction((client) => readHistory(client, query, sink.pendingMinutes()), timeout),
    readEvents: (query) => database.transaction((client) => readEvents(client, query), timeout),
    queries: createQueryGate(),
    recordChange(change) {
      showChanges(core, [change]);
      sink.writer.write(changeRecords(change, undefined));
    },
    audit({ at, actor, action, target }) {
      log.info({ actor, action, target }, 'request');
      const row = { timestamp: at / 1000, actor, action, target, detail: {} };
      sink.writer.write([{ table: 'audit_log', row }]);
    },
  };
}

/** Changes that do not come from the judge, for the event stream and the dashboard. */
export function showChanges({ events, statusView }: Core, changes: readonly Change[]): void {
  events.accept({ changes });
  statusView.addChanges(changes);
}
