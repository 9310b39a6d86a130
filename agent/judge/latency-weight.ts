/**
 * Shares of traffic in inverse proportion to latency, for `least_response_time` at a gateway. HAProxy's `leastconn`
 * minimises connections ÷ weight, which becomes connections × latency.
 */

/** Lower latencies differ by chance. */
const NOISE_MS = 5;
/** A share changes only when it differs from its target by more than this factor. */
const TOLERANCE = 0.2;
/** The largest factor by which a share changes in one step. */
const MAX_STEP = 2;

/**
 * The next share (`floor`–1) of an instance. `ownMs` is its mean latency, `peersMs` the median of its peers'; null: not
 * known, which changes nothing.
 */
export function nextLatencyShare(
  share: number,
  ownMs: number | null,
  peersMs: number | null,
  floor: number,
): number {
  if (ownMs === null || peersMs === null) return share;
  const isNoise = ownMs - peersMs < NOISE_MS;
  const target = isNoise ? 1 : Math.min(1, Math.max(floor, Math.max(peersMs, NOISE_MS) / ownMs));
  // The last step to 1 is always taken: an instance that is as good as its peers gets its whole weight.
  if (target !== 1 && Math.abs(target - share) <= TOLERANCE * share) return share;
  return Math.min(share * MAX_STEP, Math.max(share / MAX_STEP, target));
}

/** For each value, the median of the others (the lower one of an even number). Null without others. */
export function mediansOfOthers(values: readonly (number | null)[]): (number | null)[] {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return values.map((own) => {
    if (own === null) return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
    const middle = Math.floor((sorted.length - 2) / 2);
    const at = sorted[middle];
    if (at === undefined) return null;
    return at < own ? at : (sorted[middle + 1] ?? null);
  });
}
