import { durationText } from '../../../shared/config/scalars.ts';
import { isServingState } from '../../../shared/serving.ts';
import type { ApiInstance } from '../../http/schemas/instances.ts';

/** Waits for one instance. Each function polls the agent, and ends by its limit at the latest. */
export interface InstanceWatch {
  read(): Promise<ApiInstance>;
  now(): number;
  /** Rejects when the wait is interrupted. */
  sleep(ms: number): Promise<void>;
  /** Shows how far the wait is. */
  report(text: string): void;
}

export interface DrainWatch extends InstanceWatch {
  /** Null: the agent controls HAProxy and so knows its requests; else why not. */
  uncontrolled(): Promise<string | null>;
}

export type DrainEnd =
  | { kind: 'drained' }
  | { kind: 'left'; count: number }
  | { kind: 'unknown'; reason: string };

const POLL_MS = 500;
/** The agent reads HAProxy's counters once a second: zero must hold for two readings. */
const QUIET_MS = 2_500;
/** A process that restarts between two probes may answer one probe with its old build. */
const PASSES = 2;

/** HAProxy that reloads or restarts is back within this time. */
const UNKNOWN_MS = 30_000;

/** Ends when no request is in flight, at the limit with what is left, or when that stays unknown. Null: no limit. */
export async function waitForDrain(watch: DrainWatch, limitMs: number | null): Promise<DrainEnd> {
  const startedAt = watch.now();
  let since = startedAt;
  let kind: DrainEnd['kind'] | null = null;
  for (;;) {
    const end = await readDrain(watch);
    const now = watch.now();
    watch.report(drainText(end));
    if (end.kind !== kind) since = now;
    kind = end.kind;
    const isFinal = kind !== 'left' && now - since >= (kind === 'drained' ? QUIET_MS : UNKNOWN_MS);
    if (isFinal || (limitMs !== null && now - startedAt >= limitMs)) return end;
    await watch.sleep(POLL_MS);
  }
}

async function readDrain(watch: DrainWatch): Promise<DrainEnd> {
  const { inflight, queued, longLived = 0 } = await watch.read();
  const count = inflight + queued + longLived;
  if (count > 0) return { kind: 'left', count };
  const reason = await watch.uncontrolled();
  return reason === null ? { kind: 'drained' } : { kind: 'unknown', reason };
}

export function drainText(end: DrainEnd): string {
  switch (end.kind) {
    case 'drained':
      return 'no request in flight';
    case 'left':
      return `${end.count} ${end.count === 1 ? 'request' : 'requests'} in flight`;
    case 'unknown':
      return `requests in flight are unknown, because the agent does not control HAProxy (${end.reason})`;
  }
}

/** Resolves with null when new probes pass, else with the reason. Works in maintenance, too: the agent goes on probing. */
export async function waitUntilHealthy(watch: InstanceWatch, limitMs: number): Promise<string | null> {
  const startedAt = watch.now();
  let newest = (await watch.read()).lastProbe?.at ?? 0;
  let passes = 0;
  for (;;) {
    const instance = await watch.read();
    const { lastProbe } = instance;
    if (lastProbe && lastProbe.at > newest) {
      newest = lastProbe.at;
      passes = lastProbe.ok ? passes + 1 : 0;
    }
    if (instance.health === 'up' && passes >= PASSES) return null;
    const why = probeText(instance);
    watch.report(`health ${instance.health}: ${why}`);
    if (watch.now() - startedAt >= limitMs) return `not healthy within ${durationText(limitMs)}: ${why}`;
    await watch.sleep(POLL_MS);
  }
}

const probeText = ({ lastProbe, health, reason }: ApiInstance): string =>
  lastProbe?.error ?? (health === 'up' ? 'waiting for new probes' : reason);

export interface SettleLimits {
  /** It must do well for this long. */
  settleMs: number;
  /** It must begin to do well within this time. */
  limitMs: number;
}

/**
 * Resolves with null when the instance has served for the settle time, healthy and no outlier, else with the reason.
 * `before`: the instance before the change; the outlier that it was then has time to recover.
 */
export async function waitUntilSettled(
  watch: InstanceWatch,
  before: ApiInstance,
  { settleMs, limitMs }: SettleLimits,
): Promise<string | null> {
  const startedAt = watch.now();
  let goodSince: number | null = null;
  for (;;) {
    const instance = await watch.read();
    const now = watch.now();
    const problem = problemOf(instance);
    if (problem) {
      const isNew = instance.admin !== 'ready' || isNewOutlier(instance, before);
      if (isNew || goodSince !== null) return problem;
      if (now - startedAt >= limitMs) return `does not serve within ${durationText(limitMs)}: ${problem}`;
      watch.report(problem);
    } else {
      goodSince ??= now;
      const remaining = settleMs - (now - goodSince);
      if (remaining <= 0) return null;
      watch.report(`serves, ${Math.ceil(remaining / 1_000)}s to settle`);
    }
    await watch.sleep(POLL_MS);
  }
}

const isNewOutlier = ({ outlier }: ApiInstance, before: ApiInstance): boolean =>
  outlier !== undefined && outlier.since !== before.outlier?.since;

function problemOf({ admin, outlier, state, reason, breaker, health }: ApiInstance): string | null {
  if (admin !== 'ready') return `another operator set it to ${admin}`;
  if (outlier) return `outlier against its peers: ${outlier.cause}, ${outlier.evidence}`;
  if (!isServingState(state)) return `${state}: ${reason}`;
  // A half-open breaker closes by traffic only, which an idle service does not have.
  if (breaker === 'open') return `breaker open: ${reason}`;
  return health === 'up' ? null : `health ${health}: ${reason}`;
}
