import type { Change } from './state.ts';

export interface LoggedChange {
  /** Increases by one with every change; serves as `Last-Event-ID`. */
  seq: number;
  change: Change;
}

/** The last 500 changes, and a subscription to new ones. */
export interface EventLog {
  accept(update: { changes: readonly Change[] }): void;
  /** The changes after `seq`, oldest first; at most the last `limit`. */
  after(seq: number, limit?: number): LoggedChange[];
  subscribe(handler: (entry: LoggedChange) => void): () => void;
}

const MAX_ENTRIES = 500;

export function createEventLog(): EventLog {
  let entries: LoggedChange[] = [];
  let last = 0;
  const handlers = new Set<(entry: LoggedChange) => void>();
  return {
    accept({ changes }) {
      for (const change of changes) {
        const entry = { seq: ++last, change };
        entries.push(entry);
        for (const handler of handlers) handler(entry);
      }
      if (entries.length > 2 * MAX_ENTRIES) entries = entries.slice(-MAX_ENTRIES);
    },
    after(seq, limit = MAX_ENTRIES) {
      // A number not used yet comes from before a restart, which resets the sequence.
      const from = seq > last ? 0 : seq;
      return entries.filter((entry) => entry.seq > from).slice(-Math.min(limit, MAX_ENTRIES));
    },
    subscribe(handler) {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
  };
}
