import { elapsedMs } from '../../shared/elapsed.ts';

/**
 * Signs that an instance hangs, from probes and requests that have waited far longer than usual. They lead to a verdict
 * within seconds, where probes alone need `fall` whole timeouts. Instants in epoch milliseconds.
 */
export interface Suspicion {
  /** Since when nothing has been answered. */
  readonly since: number;
  /** Probes in a row that were late. */
  readonly lateProbes: number;
}

/** A pause shorter than this, such as a garbage collection, is not a hang. */
const MIN_SILENCE_MS = 1_000;

export function addLateProbe(
  before: Suspicion | null,
  startedAt: number,
  stuckSince: number | null,
): Suspicion {
  return {
    since: Math.min(startedAt, before?.since ?? startedAt, stuckSince ?? startedAt),
    lateProbes: (before?.lateProbes ?? 0) + 1,
  };
}

/** Enough late probes in a row, and no answer for a whole second. */
export const isHung = (suspicion: Suspicion, fall: number, now: number): boolean =>
  suspicion.lateProbes >= fall && elapsedMs(suspicion.since, now) >= MIN_SILENCE_MS;

/** Requests in flight and when the last one was answered; tells whether requests are stuck. */
export interface Progress {
  readonly inflight: number;
  /** Since when at least one request has waited; null: no request waits. */
  readonly busySince: number | null;
  /** A client gave up since the last answer. Its request is no longer in flight, but it was not answered either. */
  readonly abandoned: boolean;
  readonly lastEndedAt: number;
  /** When a probe last passed. */
  readonly lastPassedAt: number;
}

export const NO_PROGRESS: Progress = {
  inflight: 0,
  busySince: null,
  abandoned: false,
  lastEndedAt: 0,
  lastPassedAt: 0,
};

/** What one delta shows about the requests of an instance. */
export interface ProgressReport {
  readonly inflight: number;
  /** At least one attempt ended by itself. */
  readonly answered: boolean;
  /** At least one client gave up. */
  readonly abandoned: boolean;
}

export function advanceProgress(progress: Progress, report: ProgressReport, now: number): Progress {
  const { inflight, answered } = report;
  const abandoned = !answered && (progress.abandoned || report.abandoned);
  return {
    inflight,
    busySince: inflight === 0 && !abandoned ? null : (progress.busySince ?? now),
    abandoned,
    lastEndedAt: answered ? now : progress.lastEndedAt,
    lastPassedAt: progress.lastPassedAt,
  };
}

/** A passed probe proves that the abandoned requests were not stuck. */
export const afterPass = (progress: Progress, at: number): Progress => ({
  ...progress,
  busySince: progress.inflight === 0 ? null : progress.busySince,
  abandoned: false,
  lastPassedAt: at,
});

/** Since when requests have waited without one answer; null: no request waits. */
export const stuckSince = ({ busySince, lastEndedAt }: Progress): number | null =>
  busySince === null ? null : Math.max(busySince, lastEndedAt);

/** Requests without an answer for this long are worth a probe. */
const MIN_STUCK_MS = 200;
const STUCK_FACTOR = 4;
/** Long polls are always in flight. A probe that has just passed proves that they are not stuck. */
const PASS_VALID_MS = 500;

export function isStuck(progress: Progress, usualMs: number | null, now: number): boolean {
  const since = stuckSince(progress);
  if (since === null) return false;
  if (elapsedMs(progress.lastPassedAt, now) < PASS_VALID_MS) return false;
  // A client that gave up, or an edge that hedged, has waited long enough.
  return progress.abandoned || elapsedMs(since, now) >= Math.max(MIN_STUCK_MS, STUCK_FACTOR * (usualMs ?? 0));
}
