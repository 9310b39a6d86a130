import { isFailure } from '../../shared/retry.ts';
import type { CompletedAttempt } from './attempt.ts';

export interface PendingAttempt {
  readonly result: Promise<CompletedAttempt>;
  readonly cancel: () => void;
}

/** A second attempt, started when the first takes unusually long. */
export interface HedgePlan {
  readonly afterMs: number;
  /** Null when there is no other instance or no retry budget left. */
  readonly start: () => PendingAttempt | null;
}

/**
 * The first of two attempts that succeeds wins, and the other is aborted. When both fail, the later one wins, as it would
 * after a plain retry.
 */
export async function withHedge(
  first: PendingAttempt,
  hedge: HedgePlan,
): Promise<{ winner: CompletedAttempt; loser: CompletedAttempt | null }> {
  const delay = Promise.withResolvers<null>();
  const timer = setTimeout(() => delay.resolve(null), hedge.afterMs);
  const early = await Promise.race([first.result, delay.promise]);
  clearTimeout(timer);
  if (early) return { winner: early, loser: null };
  const second = hedge.start();
  if (!second) return { winner: await first.result, loser: null };
  const sooner = await Promise.race([
    first.result.then((attempt) => ({ attempt, other: second })),
    second.result.then((attempt) => ({ attempt, other: first })),
  ]);
  if (!isFailure(sooner.attempt.result)) {
    sooner.other.cancel();
    return { winner: sooner.attempt, loser: null };
  }
  return { winner: await sooner.other.result, loser: sooner.attempt };
}
