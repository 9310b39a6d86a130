import type { Strategy } from '../config/config.ts';
import { isEjected } from '../ejection.ts';
import { type Candidate, isServing } from './candidate.ts';
import type { Picker, PickerState, PickInput, PoolMember } from './picker.ts';
import { createPicker } from './strategies.ts';

/** The instances of one service at one site, ready for picking. Built once per snapshot, and each second of a slow start. */
export interface Pool {
  readonly levels: readonly PriorityLevel[];
  /** Fewer than half are healthy, backups included: health and breaker are ignored. */
  readonly panic: boolean;
  /** When slow-start shares change, epoch milliseconds; Infinity when no instance is on probation. */
  readonly staleAt: number;
}

export interface PriorityLevel {
  readonly priority: number;
  /** Upper end of the level's part of [0, 1). */
  readonly upTo: number;
  readonly members: readonly PoolMember[];
  readonly pick: Picker;
}

interface PoolPolicy {
  strategy: Strategy;
  /** Milliseconds. */
  slowStart: number;
  /** False for `circuit_break`, which sends only to healthy instances. */
  mayPanic: boolean;
}

const REBUILD_EVERY_MS = 1_000;
/** Envoy's overprovisioning factor: a level takes its full load while 1/1.4 = 71 % of it is healthy. */
const OVERPROVISION = 1.4;
const PANIC_BELOW = 0.5;

export function buildPool(
  candidates: readonly Candidate[],
  policy: PoolPolicy,
  state: PickerState,
  now: number,
): Pool {
  const wanted = candidates.filter((candidate) => candidate.admin === 'ready');
  const byPriority = [...Map.groupBy(wanted, (candidate) => candidate.priority)].sort(([a], [b]) => a - b);
  const health = byPriority.map(([, level]) =>
    Math.min(1, (OVERPROVISION * level.filter(isServing).length) / level.length),
  );
  const totalHealth = health.reduce((sum, part) => sum + part, 0);
  const serving = wanted.filter(isServing);
  const panic = policy.mayPanic && totalHealth < 1 && serving.length < wanted.length * PANIC_BELOW;
  if (panic) {
    const members = wanted.map((candidate) => ({ candidate, weight: candidate.weight, share: 1 }));
    const level = { priority: 0, upTo: 1, members, pick: createPicker(policy.strategy, members, state) };
    return { levels: [level], panic, staleAt: Number.POSITIVE_INFINITY };
  }
  let used = 0;
  const levels = byPriority.map(([priority, candidatesOfLevel], index): PriorityLevel => {
    // Each level takes the load it can carry. If all together cannot carry it, they share it in proportion to health.
    const part = totalHealth < 1 ? (health[index] ?? 0) / (totalHealth || 1) : (health[index] ?? 0);
    used = Math.min(1, used + part);
    const members = candidatesOfLevel.filter(isServing).map((candidate) => {
      const share = slowStartShare(candidate, policy.slowStart, now);
      return { candidate, share, weight: candidate.weight * share * candidate.share };
    });
    return { priority, upTo: used, members, pick: createPicker(policy.strategy, members, state) };
  });
  const growing = serving.some((candidate) => candidate.state === 'probation' && policy.slowStart > 0);
  return { levels, panic, staleAt: growing ? now + REBUILD_EVERY_MS : Number.POSITIVE_INFINITY };
}

const SMALLEST_SHARE = 0.1;

/** Envoy's slow start with aggression 1: max(10 %, t / window). A half-open breaker stays at the smallest share. */
export function slowStartShare(
  candidate: Pick<Candidate, 'state' | 'breaker' | 'since'>,
  windowMs: number,
  now: number,
): number {
  if (candidate.state !== 'probation') return 1;
  if (candidate.breaker === 'half_open') return SMALLEST_SHARE;
  if (windowMs <= 0) return 1;
  return Math.min(1, Math.max(SMALLEST_SHARE, (now - candidate.since) / windowMs));
}

type Selection = { candidate: Candidate; why: 'picked' | 'panic' | 'ejected' } | null;

/** Picks by priority level, then by strategy. Skips ejected and tried instances; falls back to an ejected one. */
export function pickFrom(pool: Pool, tried: readonly Candidate[], input: Omit<PickInput, 'skip'>): Selection {
  const { now } = input;
  const candidate = pickLevel(pool, {
    ...input,
    skip: (one) => isEjected(one.local.ejection, now) || tried.includes(one),
  });
  if (candidate) return { candidate, why: pool.panic ? 'panic' : 'picked' };
  const ejected = pickLevel(pool, { ...input, skip: (one) => tried.includes(one) });
  return ejected ? { candidate: ejected, why: 'ejected' } : null;
}

function pickLevel(pool: Pool, input: PickInput): Candidate | null {
  const { levels } = pool;
  const first = levels[0];
  if (levels.length === 1 && first) return first.pick(input);
  const roll = input.random();
  const chosen = levels.find((level) => roll < level.upTo);
  const candidate = chosen?.pick(input);
  if (candidate) return candidate;
  for (const level of levels) {
    const next = level === chosen ? null : level.pick(input);
    if (next) return next;
  }
  return null;
}
