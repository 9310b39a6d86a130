import { instanceKey, type TrafficDelta, type TrafficGauges } from '../../core/state.ts';
import { isLongLivedBackend, serviceOfBackend } from '../long-lived.ts';
import type { ServerStat } from '../socket/parse.ts';

/**
 * HAProxy has no counter for attempts that got no response: `eresp` and `wretr` count some of them twice or not at all
 * (2.6, measured with servers that refuse, reset, close and time out). `stot` counts every attempt, so
 *
 *   unanswered = attempts − responses − attempts in progress − client aborts − malformed requests
 *
 * Malformed requests are those whose fault HAProxy noticed only after it had sent their start. Its log counts them.
 *
 * Attempts in progress include responses still being sent, and clients can abort those too, so this formula gives a
 * lower bound. The estimate is the highest value seen so far, and at least the certain part: connection failures and
 * redispatches.
 */
interface CounterTrack {
  /** The values at the start of counting: zeros for a worker seen from its start. */
  base: ServerStat;
  last: ServerStat;
  unanswered: number;
  /** Connection failures and redispatches of a full server: HAProxy counts its own queue timeouts among them. */
  excused: number;
  malformed: number;
}

/** The counters at the last poll and the worker they belong to. */
export interface CounterBaseline {
  pid: number;
  servers: ReadonlyMap<string, CounterTrack>;
}

export interface CounterPoll {
  pid: number;
  stats: readonly ServerStat[];
  /** Epoch milliseconds. */
  at: number;
  /** Malformed requests since the last poll, by `backend/server`. */
  malformed: ReadonlyMap<string, number>;
  /** HAProxy has reached a limit of its own. It counts these attempts as connection failures of the instances. */
  isShort: boolean;
}

export interface CounterDeltas {
  baseline: CounterBaseline;
  deltas: TrafficDelta[];
  /** Instances to which HAProxy could not connect since the last poll: probe them now. */
  connectFailures: { service: string; instance: string }[];
}

/**
 * The traffic since the last poll. A new worker and cleared counters start at zero, so their values are the difference.
 * Without a baseline the first poll sets one: its counters may be older than the agent. Its gauges are current, so that an
 * instance that is full when the agent starts is shown as full.
 */
export function computeCounterDeltas(
  baseline: CounterBaseline | null,
  { pid, stats, at, malformed, isShort }: CounterPoll,
): CounterDeltas {
  const servers = new Map<string, CounterTrack>();
  const deltas: TrafficDelta[] = [];
  const connectFailures: CounterDeltas['connectFailures'] = [];
  const blamedShare = isShort ? 0 : 1;
  for (const stat of stats) {
    const { instance } = stat;
    const service = serviceOfBackend(stat.service);
    const key = instanceKey(stat.service, instance);
    const known = baseline?.servers.get(key);
    const track = continueTrack(baseline, known, pid, stat);
    const since = difference(track.last, stat);
    const isExcused = isFull(track.last) || isFull(stat);
    const excused = track.excused + (isExcused ? since(connectionFailures) : 0);
    const rejected = track.malformed + (malformed.get(key) ?? 0);
    const estimate = estimateUnanswered({ ...track, last: stat, excused, malformed: rejected });
    const unanswered = Math.max(track.unanswered, estimate);
    servers.set(key, { base: track.base, last: stat, unanswered, excused, malformed: rejected });

    const aborted = since((each) => each.serverAborts);
    const success = Math.max(0, since((each) => each.responses.ok) - aborted);
    const broken = aborted + blamedShare * (unanswered - track.unanswered);
    const failure = since((each) => each.responses.failed) + broken;
    const gaugesChanged = known?.last.inflight !== stat.inflight || known.last.queued !== stat.queued;
    if (success + failure > 0 || gaugesChanged) {
      deltas.push({
        kind: 'traffic',
        source: 'haproxy',
        service,
        instance,
        at,
        success,
        failure,
        broken,
        slow: 0,
        statuses: {
          '2xx': since((each) => each.statuses['2xx']),
          '3xx': since((each) => each.statuses['3xx']),
          '4xx': since((each) => each.statuses['4xx']),
          '5xx': since((each) => each.statuses['5xx']),
        },
        ...gaugesOf(stat),
      });
    }
    if (!(isExcused || isShort) && since(connectionFailures) > 0) connectFailures.push({ service, instance });
  }
  return { baseline: { pid, servers }, deltas, connectFailures };
}

/** A long-lived connection does not count as load: the instance may be idle. */
const gaugesOf = ({ service, inflight, queued, limit }: ServerStat): TrafficGauges =>
  isLongLivedBackend(service)
    ? { longLived: inflight, longLivedLimit: limit }
    : { inflight, queued, inflightLimit: limit };

const difference =
  (from: ServerStat, to: ServerStat) =>
  (pick: (stat: ServerStat) => number): number =>
    pick(to) - pick(from);

/** A timeout in the queue of a full server is not a failure of the server. */
const isFull = ({ queued, inflight, limit }: ServerStat): boolean =>
  queued > 0 || (limit > 0 && inflight >= limit);

const connectionFailures = (stat: ServerStat): number => stat.connectFailures + stat.redispatches;

function continueTrack(
  baseline: CounterBaseline | null,
  known: CounterTrack | undefined,
  pid: number,
  stat: ServerStat,
): CounterTrack {
  if (!baseline) return { base: stat, last: stat, unanswered: 0, excused: 0, malformed: 0 };
  const cleared = known !== undefined && stat.attempts < known.last.attempts;
  if (known && baseline.pid === pid && !cleared) return known;
  const zero = { ...stat, ...ZERO_COUNTERS };
  return { base: zero, last: zero, unanswered: 0, excused: 0, malformed: 0 };
}

const ZERO_COUNTERS = {
  attempts: 0,
  responses: { ok: 0, failed: 0 },
  statuses: { '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
  connectFailures: 0,
  redispatches: 0,
  clientAborts: 0,
  serverAborts: 0,
};

function estimateUnanswered({ base, last, excused, malformed }: CounterTrack): number {
  const since = difference(base, last);
  const responses = since((each) => each.responses.ok + each.responses.failed);
  const clientAborts = since((each) => each.clientAborts);
  const lowerBound = since((each) => each.attempts) - responses - last.inflight - clientAborts - malformed;
  return Math.max(lowerBound, since(connectionFailures) - excused, 0);
}
