import type { HistoryRecord } from '../history/records.ts';
import type { Queryable } from '../history/sql/database.ts';
import type { FoundTrace } from './trace-store.ts';

/** Requests that failed or were slow, in the database. */
export interface TraceHistory {
  /** Whether this minute has room for one more row. */
  hasRoom(now: number): boolean;
  /** Writes the trace of one request. */
  keep(trace: FoundTrace, now: number): void;
  /** The newest requests with this request id or trace id. Rejects when the database does not answer. */
  find(id: string): Promise<FoundTrace>;
}

export interface TraceHistoryOptions {
  write(records: HistoryRecord[]): void;
  database: Queryable;
}

/** At about 1.5 KB a row: at most 65 MB a day. */
const MAX_ROWS_PER_MINUTE = 30;
const MINUTE_MS = 60_000;
const MAX_FOUND = 100;
const QUERY_TIMEOUT_MS = 5_000;

export function createTraceHistory({ write, database }: TraceHistoryOptions): TraceHistory {
  let minute = 0;
  let rows = 0;
  const hasRoom = (now: number): boolean => {
    const current = Math.floor(now / MINUTE_MS);
    if (current !== minute) {
      minute = current;
      rows = 0;
    }
    return rows < MAX_ROWS_PER_MINUTE;
  };
  return {
    hasRoom,
    keep({ edge, gateway }, now) {
      const [request] = [...edge, ...gateway];
      if (!request || !hasRoom(now)) return;
      rows += 1;
      const row = {
        timestamp: request.at / 1_000,
        request_id: request.requestId,
        trace_id: request.traceId ?? '',
        service_type: request.service,
        detail: { edge, gateway },
      };
      write([{ table: 'request_traces', row }]);
    },
    async find(id) {
      const found = await database.query<{ detail: FoundTrace }>(
        `SELECT detail FROM request_traces WHERE site = $2 AND (request_id = $1 OR trace_id = $1)
         ORDER BY timestamp DESC LIMIT ${MAX_FOUND}`,
        [id, database.site],
        { timeoutMs: QUERY_TIMEOUT_MS },
      );
      return {
        edge: found.rows.flatMap(({ detail }) => detail.edge),
        gateway: found.rows.flatMap(({ detail }) => detail.gateway),
      };
    },
  };
}
