import { isFailure } from '../../shared/retry.ts';
import type { CompletedAttempt } from './attempt.ts';

/** A second try that is started when the first takes longer than is usual. */
export interface HedgePlan {
  afterMs: number;
  /** Null when there is no one else to ask, or no budget left. */
  start: () => { result: Promise<CompletedAttempt>; cancel: () => void } | null;
}

/**
 * The first good answer of two; the other is aborted. Of two bad ones the later: it is what a plain retry would have
 * ended with.
 */
export async function withHedge(
  first: { result: Promise<CompletedAttempt>; cancel: () => void },
  hedge: HedgePlan,
): Promise<{ winner: CompletedAttempt; loser: CompletedAttempt | null }> {
  const late = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => late.resolve('late'), hedge.afterMs);
  const early = await Promise.race([first.result, late.promise]);
  clearTimeout(timer);
  if (early !== 'late') return { winner: early, loser: null };
  const second = hedge.start();
  if (!second) return { winner: await first.result, loser: null };
  const sooner = await Promise.race([
    first.result.then((attempted) => ({ attempted, other: second })),
    second.result.then((attempted) => ({ attempted, other: first })),
  ]);
  if (!isFailure(sooner.attempted.result)) {
    sooner.other.cancel();
    return { winner: sooner.attempted, loser: null };
  }
  return { winner: await sooner.other.result, loser: sooner.attempted };
}
