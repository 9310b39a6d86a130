import { emptyRequests, type RequestDelta } from '../../agent/core/requests.ts';
import { addToSketch } from '../../shared/sketch.ts';

/** Requests of `gs` at `at`: `ok` with 200, `failed` with 503, all after `ms`. */
export function requestsOf(
  at: number,
  ok: number,
  failed = 0,
  more: Partial<RequestDelta> & { ms?: number } = {},
): RequestDelta {
  const { ms, ...parts } = more;
  const delta: RequestDelta = { ...emptyRequests('edge', 'gs', at), ...parts };
  delta.statuses['2xx'] += ok;
  delta.statuses['5xx'] += failed;
  if (ms !== undefined) addToSketch(delta.latency, ms, ok + failed);
  return delta;
}
