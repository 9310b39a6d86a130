import { elapsedMs } from '../../shared/elapsed.ts';
import type { ProbeResult } from '../core/state.ts';
import { errorMessage } from '../lib/error-message.ts';
import { isLocalShortage } from './errors.ts';
import { createHttpProbe } from './http.ts';
import { type ProbeInterval, probeIntervalMs } from './interval.ts';
import type { Probe, ProbeObservation, ProbeTarget } from './target.ts';
import { createTcpProbe } from './tcp.ts';

export interface Prober {
  /** Probes exactly these targets from now on. Unchanged targets keep their schedule and connection. */
  sync(targets: readonly ProbeTarget[]): void;
  /** Probes an instance at once, because it may have changed. */
  probeNow(key: string): void;
  /** Sets the interval of an instance. */
  setProbeInterval(key: string, pace: ProbeInterval): void;
  stats(): ProberStats;
  close(): void;
}

export interface ProberStats {
  targets: number;
  started: number;
  failed: number;
  hints: number;
  running: number;
  /** How late probes started since the previous call, in milliseconds. */
  latenessMs: { mean: number; max: number };
}

interface ScheduledTarget {
  target: ProbeTarget;
  probe: Probe;
  /** The offset of this target's normal probes within the interval, in milliseconds. */
  phase: number;
  pace: ProbeInterval;
  due: number;
  timer: NodeJS.Timeout | undefined;
  running: number;
  lastHint: number;
  hintGap: number;
}

export interface ProberOptions {
  onResult(result: ProbeResult): void;
  now?: () => number;
  random?: () => number;
  createProbe?: (target: ProbeTarget, onClosed: () => void) => Probe;
}

/** The maximum number of concurrent probes of one target. */
const MAX_CONCURRENT = 8;
/** The fraction of an interval by which a probe may be early or late. */
const JITTER = 0.05;
/** Node fires a longer timer at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Multiples of the golden ratio, modulo 1, spread any number of targets evenly. */
const GOLDEN_RATIO = 0.618033988749895;
/**
 * The minimum time between two hints. Each hint soon after the last one doubles it, up to the fast interval. Otherwise an
 * instance that closes every connection would be probed without pause.
 */
const MIN_HINT_GAP_MS = 100;

export const defaultProbe = (target: ProbeTarget, onClosed: () => void): Probe =>
  target.check.type === 'tcp' ? createTcpProbe(target) : createHttpProbe(target, onClosed);

/**
 * Schedules the probes. The normal probes of a target lie on a fixed grid with jitter that does not accumulate, and the
 * grids of all targets are spread over the interval. A slow probe does not delay the next one.
 */
export function createProber(options: ProberOptions): Prober {
  const { onResult, now = Date.now, random = Math.random, createProbe = defaultProbe } = options;
  const entries = new Map<string, ScheduledTarget>();
  const counters = { added: 0, started: 0, failed: 0, hints: 0, late: 0, lateMax: 0, lateCount: 0 };

  function add(target: ProbeTarget, index: number, batch: number): void {
    const phase = ((counters.added++ * GOLDEN_RATIO) % 1) * target.check.interval;
    // The first probes follow soon, but spread out.
    const spread = Math.min(target.check.interval, batch);
    const due = now() + (index / Math.max(1, batch)) * spread;
    const entry: ScheduledTarget = {
      target,
      probe: failingProbe('not created yet'),
      phase,
      pace: 'fast',
      due,
      timer: undefined,
      running: 0,
      lastHint: 0,
      hintGap: MIN_HINT_GAP_MS,
    };
    try {
      entry.probe = createProbe(target, () => hint(target.key));
    } catch (error) {
      entry.probe = failingProbe(errorMessage(error));
    }
    entries.set(target.key, entry);
    arm(entry);
  }

  function remove(entry: ScheduledTarget): void {
    clearTimeout(entry.timer);
    entry.probe.close();
    entries.delete(entry.target.key);
  }

  function arm(entry: ScheduledTarget): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(fire, Math.min(Math.max(0, entry.due - now()), MAX_TIMER_MS), entry);
  }

  function fire(entry: ScheduledTarget): void {
    const instant = now();
    const late = Math.max(0, instant - entry.due);
    counters.late += late;
    counters.lateCount++;
    counters.lateMax = Math.max(counters.lateMax, late);
    entry.due = nextDue(entry, instant);
    arm(entry);
    // If this process is overloaded, a second concurrent probe would only add to the load.
    const overloaded = late > entry.target.check.interval / 4;
    if (entry.running < (overloaded ? 1 : MAX_CONCURRENT)) void probe(entry);
  }

  async function probe(entry: ScheduledTarget): Promise<void> {
    const { target } = entry;
    entry.running++;
    counters.started++;
    const observation = await entry.probe.run();
    entry.running--;
    if (!observation.ok) counters.failed++;
    if (entries.get(target.key) !== entry) return;
    onResult({
      kind: 'probe',
      service: target.service,
      instance: target.instance,
      at: now(),
      ...observation,
      ...(isLocalShortage(observation.error) && { blind: true }),
    });
  }

  function nextDue(entry: ScheduledTarget, instant: number): number {
    const { check } = entry.target;
    const jitter = (random() * 2 - 1) * JITTER;
    if (entry.pace !== 'normal') return instant + probeIntervalMs(entry.pace, check) * (1 + jitter);
    const grid =
      Math.ceil((instant - entry.phase) / check.interval + 2 * JITTER) * check.interval + entry.phase;
    return Math.max(instant + 1, grid + jitter * check.interval);
  }

  function hint(key: string): void {
    const entry = entries.get(key);
    if (!entry) return;
    const instant = now();
    const since = elapsedMs(entry.lastHint, instant);
    if (since < entry.hintGap) return;
    const { fastInterval } = entry.target.check;
    entry.hintGap =
      since > 2 * fastInterval
        ? MIN_HINT_GAP_MS
        : Math.min(entry.hintGap * 2, Math.max(fastInterval, MIN_HINT_GAP_MS));
    entry.lastHint = instant;
    counters.hints++;
    entry.due = instant;
    fire(entry);
  }

  return {
    probeNow: hint,
    sync(targets) {
      const wanted = new Map(targets.map((target) => [target.key, target]));
      for (const entry of [...entries.values()]) {
        const target = wanted.get(entry.target.key);
        if (!target || !sameTarget(target, entry.target)) remove(entry);
      }
      const fresh = targets.filter((target) => !entries.has(target.key));
      for (const [index, target] of fresh.entries()) add(target, index, fresh.length);
    },
    setProbeInterval(key, pace) {
      const entry = entries.get(key);
      if (!entry || entry.pace === pace) return;
      entry.pace = pace;
      entry.due = nextDue(entry, now());
      arm(entry);
    },
    stats() {
      const running = [...entries.values()].reduce((sum, entry) => sum + entry.running, 0);
      const latenessMs = {
        mean: counters.lateCount ? counters.late / counters.lateCount : 0,
        max: counters.lateMax,
      };
      counters.late = counters.lateMax = counters.lateCount = 0;
      return {
        targets: entries.size,
        started: counters.started,
        failed: counters.failed,
        hints: counters.hints,
        running,
        latenessMs,
      };
    },
    close() {
      for (const entry of [...entries.values()]) remove(entry);
    },
  };
}

const sameTarget = (a: ProbeTarget, b: ProbeTarget): boolean =>
  a.url === b.url &&
  a.allowNetworks === b.allowNetworks &&
  (a.check === b.check || JSON.stringify(a.check) === JSON.stringify(b.check));

/** Replaces a probe that could not be created, for example because a certificate file is missing. */
const failingProbe = (error: string): Probe => ({
  run: (): Promise<ProbeObservation> => Promise.resolve({ ok: false, latencyMs: 0, error }),
  close: () => {},
});
