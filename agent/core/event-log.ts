import type { Change } from './state.ts';

export interface LoggedChange {
  /** Grows by one with every change; for `Last-Event-ID`. */
  seq: number;
  change: Change;
}

/** The last changes, for whoever asks, and every new one for whoever listens. */
export interface EventLog {
  accept(update: { changes: readonly Change[] }): void;
  /** Those after `seq`, oldest first; at most the last `limit`. */
  after(seq: number, limit?: number): LoggedChange[];
  subscribe(handler: (entry: LoggedChange) => void): () => void;
}

const MAX_ENTRIES = 500;

export function createEventLog(): EventLog {
  let kept: LoggedChange[] = [];
  let last = 0;
  const handlers = new Set<(entry: LoggedChange) => void>();
  return {
    accept({ changes }) {
      for (const change of changes) {
        const entry = { seq: ++last, change };
        kept.push(entry);
        for (const handler of handlers) handler(entry);
      }
      if (kept.length > 2 * MAX_ENTRIES) kept = kept.slice(-MAX_ENTRIES);
    },
    after(seq, limit = MAX_ENTRIES) {
      // A number that was never given out is from before a restart, when counting began anew.
      const from = seq > last ? 0 : seq;
      return kept.filter((entry) => entry.seq > from).slice(-Math.min(limit, MAX_ENTRIES));
    },
    subscribe(handler) {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
  };
}
