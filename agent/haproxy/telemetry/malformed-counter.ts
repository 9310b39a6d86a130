import { instanceKey } from '../../core/state.ts';
import { longLivedBackend } from '../long-lived.ts';
import { attemptOf, type LogFields } from './log-line.ts';

/** Counts attempts that ended because the client's body or trailers were malformed. */
export interface MalformedCounter {
  count(fields: LogFields): void;
  /** Since the last call, by `backend/server`. */
  take(): ReadonlyMap<string, number>;
}

export function createMalformedCounter(isKnown: (key: string) => boolean): MalformedCounter {
  let counts = new Map<string, number>();
  return {
    count(fields) {
      if (fields.status !== 400) return;
      const line = attemptOf(fields);
      if (line?.end !== 'malformed' || !isKnown(instanceKey(line.service, line.instance))) return;
      const backend = fields.longLived ? longLivedBackend(line.service) : line.service;
      const key = instanceKey(backend, line.instance);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    take() {
      const taken = counts;
      counts = new Map();
      return taken;
    },
  };
}
