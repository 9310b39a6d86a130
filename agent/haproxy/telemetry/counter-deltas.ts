import type { TrafficDelta } from '../../core/state.ts';
import type { ServerStat } from '../socket/parse.ts';

/**
 * How many tries failed without an answer is not among HAProxy's counters: `eresp` and `wretr` count some of them twice
 * or not at all (2.6, seen with refused, reset, closed and silent servers). Every try is in `stot`, though, so
 *
 *   unanswered = tries − answers − tries in progress − clients that hung up
 *
 * In progress includes answers still being sent, and clients hang up on those too, so this is at most the truth; its
 * highest value so far is kept, as is what is certain: requests without a connection or moved elsewhere.
 */
interface CounterTrack {
  /** Where counting began: zeros for a worker seen from its start. */
  base: ServerStat;
  last: ServerStat;
  unanswered: number;
}

/** What was seen at the last look, and of which worker. */
export interface CounterBaseline {
  pid: number;
  servers: ReadonlyMap<string, CounterTrack>;
}

export interface CounterDeltas {
  memory: CounterBaseline;
  deltas: TrafficDelta[];
  /** Instances HAProxy could not connect to since the last look: worth a probe at once. */
  refused: { service: string; instance: string }[];
}

/**
 * What happened since the last look. A new worker, or cleared counters, count from zero, so their values are the
 * difference. With no memory at all the first look is only remembered: what happened before is not known to be news.
 */
export function computeCounterDeltas(
  memory: CounterBaseline | null,
  pid: number,
  stats: readonly ServerStat[],
  now: number,
): CounterDeltas {
  const news: CounterDeltas = { memory: { pid, servers: new Map() }, deltas: [], refused: [] };
  const servers = new Map<string, CounterTrack>();
  for (const stat of stats) {
    const { service, instance } = stat;
    const key = `${service}/${instance}`;
    const known = memory?.servers.get(key);
    const tally = memory
      ? continued(known, memory.pid === pid, stat)
      : { base: stat, last: stat, unanswered: 0 };
    const unanswered = Math.max(tally.unanswered, estimate(tally.base, stat));
    servers.set(key, { base: tally.base, last: stat, unanswered });

    const since = (pick: (stat: ServerStat) => number): number => pick(stat) - pick(tally.last);
    const aborted = since((each) => each.serverAborts);
    const success = Math.max(0, since((each) => each.responses.ok) - aborted);
    const failure = since((each) => each.responses.failed) + aborted + unanswered - tally.unanswered;
    const moved = known?.last.inflight !== stat.inflight || known.last.queued !== stat.queued;
    if (success + failure > 0 || (memory && moved)) {
      const { inflight, queued } = stat;
      const source = { kind: 'traffic', source: 'haproxy' } as const;
      news.deltas.push({
        ...source,
        service,
        instance,
        at: now,
        success,
        failure,
        slow: 0,
        inflight,
        queued,
      });
    }
    if (since((each) => each.unconnected + each.redispatches) > 0) news.refused.push({ service, instance });
  }
  return { ...news, memory: { pid, servers } };
}

function continued(known: CounterTrack | undefined, sameWorker: boolean, stat: ServerStat): CounterTrack {
  const cleared = known !== undefined && stat.tries < known.last.tries;
  if (known && sameWorker && !cleared) return known;
  const zero = { ...stat, ...NOTHING, responses: { ok: 0, failed: 0 } };
  return { base: zero, last: zero, unanswered: 0 };
}

const NOTHING = { tries: 0, unconnected: 0, redispatches: 0, clientAborts: 0, serverAborts: 0 };

function estimate(base: ServerStat, stat: ServerStat): number {
  const since = (pick: (stat: ServerStat) => number): number => pick(stat) - pick(base);
  const answers = since((each) => each.responses.ok + each.responses.failed);
  const left = since((each) => each.tries) - answers - stat.inflight - since((each) => each.clientAborts);
  return Math.max(
    left,
    since((each) => each.unconnected + each.redispatches),
    0,
  );
}
