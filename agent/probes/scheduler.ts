import { errorMessage } from '../../shared/error-message.ts';
import { addToSketch, emptySketch, sketchQuantile } from '../../shared/sketch.ts';
import type { ProbeResult } from '../core/state.ts';
import { failureKind, isLocalShortage } from './errors.ts';
import { createHttpProbe } from './http1/probe.ts';
import { type ProbeInterval, probeIntervalMs } from './interval.ts';
import { addPassTime, isOwnDelay, lateAfterMs } from './lateness.ts';
import type { Probe, ProbeObservation, ProbeTarget } from './target.ts';
import { createTcpProbe } from './tcp.ts';

export interface Prober {
  /** Sets the targets to probe. Unchanged targets keep their schedule and connection. */
  sync(targets: readonly ProbeTarget[]): void;
  /** Probes an instance at once, because it may have changed. */
  probeNow(key: string): void;
  /** Sets the interval of an instance. */
  setProbeInterval(key: string, interval: ProbeInterval): void;
  stats(): ProberStats;
  close(): void;
}

export interface ProberStats {
  targets: number;
  started: number;
  failed: number;
  /** The failed probes by kind, such as "timed out" or "status 503". */
  failures: { [kind: string]: number };
  hints: number;
  running: number;
  /** How late probes started since the previous call, in milliseconds. */
  latenessMs: { mean: number; p99: number; max: number };
}

interface ScheduledTarget {
  target: ProbeTarget;
  probe: Probe;
  /** The offset of this target's normal probes within the interval, in milliseconds. */
  phase: number;
  interval: ProbeInterval;
  /** `due` and `lastHint` are milliseconds of the monotonic clock. */
  due: number;
  timer: NodeJS.Timeout | undefined;
  /** Called by the timer. One function for all probes of the target. */
  readonly fire: () => void;
  running: number;
  /** Durations of the last passed probes, milliseconds. */
  passTimes: readonly number[];
  lastHint: number;
  hintGap: number;
}

export interface ProberOptions {
  onResult(result: ProbeResult): void;
  now?: () => number;
  /** Milliseconds of a monotonic clock, for the schedule. */
  clock?: () => number;
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

function defaultProbe(target: ProbeTarget, onClosed: () => void): Probe {
  if (target.check.type === 'tcp') return createTcpProbe(target);
  return target.http2 ? openHttp2Probe(target, onClosed) : createHttpProbe(target, onClosed);
}

/** Only HTTP/2 probes need undici, which takes over 10 MiB. */
function openHttp2Probe(target: ProbeTarget, onClosed: () => void): Probe {
  let closed = false;
  const opening = import('./http2/probe.ts').then(({ createHttp2Probe }) =>
    createHttp2Probe(target, onClosed),
  );
  opening.catch(() => {});
  return {
    async run() {
      try {
        const probe = await opening;
        return closed ? { ok: false, latencyMs: 0, error: 'closed' } : await probe.run();
      } catch (error) {
        return { ok: false, latencyMs: 0, error: errorMessage(error) };
      }
    },
    close() {
      closed = true;
      opening.then((probe) => probe.close()).catch(() => {});
    },
  };
}

export const createProber = (options: ProberOptions): Prober => new ProbeScheduler(options);

/**
 * Schedules the probes. The normal probes of a target lie on a fixed grid with jitter that does not accumulate, and the
 * grids of all targets are spread over the interval. A slow probe does not delay the next one.
 */
class ProbeScheduler implements Prober {
  readonly #onResult: (result: ProbeResult) => void;
  readonly #now: () => number;
  readonly #clock: () => number;
  readonly #random: () => number;
  readonly #createProbe: (target: ProbeTarget, onClosed: () => void) => Probe;
  readonly #entries = new Map<string, ScheduledTarget>();
  readonly #counters = { added: 0, started: 0, failed: 0, hints: 0 };
  readonly #failures: ProberStats['failures'] = {};
  #lateness = emptySketch();

  constructor(options: ProberOptions) {
    const { onResult, now = Date.now, clock = () => performance.now() } = options;
    const { random = Math.random, createProbe = defaultProbe } = options;
    this.#onResult = onResult;
    this.#now = now;
    this.#clock = clock;
    this.#random = random;
    this.#createProbe = createProbe;
  }

  sync(targets: readonly ProbeTarget[]): void {
    const wanted = new Map(targets.map((target) => [target.key, target]));
    for (const entry of [...this.#entries.values()]) {
      const target = wanted.get(entry.target.key);
      if (!target || !isSameTarget(target, entry.target)) this.#remove(entry);
    }
    const added = targets.filter((target) => !this.#entries.has(target.key));
    for (const [index, target] of added.entries()) this.#add(target, index, added.length);
  }

  probeNow(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    const instant = this.#clock();
    const since = instant - entry.lastHint;
    if (since < entry.hintGap) return;
    entry.hintGap = nextHintGap(entry.hintGap, since, entry.target.check.fastInterval);
    entry.lastHint = instant;
    this.#counters.hints++;
    entry.due = instant;
    this.#fire(entry);
  }

  setProbeInterval(key: string, interval: ProbeInterval): void {
    const entry = this.#entries.get(key);
    if (!entry || entry.interval === interval) return;
    entry.interval = interval;
    entry.due = interval === 'urgent' ? this.#clock() : nextDue(entry, this.#clock(), this.#random());
    this.#arm(entry);
  }

  stats(): ProberStats {
    const { started, failed, hints } = this.#counters;
    const lateness = this.#lateness;
    this.#lateness = emptySketch();
    return {
      targets: this.#entries.size,
      started,
      failed,
      failures: { ...this.#failures },
      hints,
      running: this.#entries.values().reduce((sum, entry) => sum + entry.running, 0),
      latenessMs: {
        mean: lateness.count > 0 ? lateness.sum / lateness.count : 0,
        p99: sketchQuantile(lateness, 0.99) ?? 0,
        max: lateness.max,
      },
    };
  }

  close(): void {
    for (const entry of [...this.#entries.values()]) this.#remove(entry);
  }

  #add(target: ProbeTarget, index: number, batch: number): void {
    // The first probes follow soon, but spread out.
    const spread = Math.min(target.check.interval, batch);
    const entry: ScheduledTarget = {
      target,
      probe: this.#openProbe(target),
      phase: ((this.#counters.added++ * GOLDEN_RATIO) % 1) * target.check.interval,
      interval: 'fast',
      due: this.#clock() + (index / Math.max(1, batch)) * spread,
      timer: undefined,
      fire: () => this.#fire(entry),
      running: 0,
      passTimes: [],
      lastHint: Number.NEGATIVE_INFINITY,
      hintGap: MIN_HINT_GAP_MS,
    };
    this.#entries.set(target.key, entry);
    this.#arm(entry);
  }

  #openProbe(target: ProbeTarget): Probe {
    try {
      return this.#createProbe(target, () => this.probeNow(target.key));
    } catch (error) {
      return failingProbe(errorMessage(error));
    }
  }

  #remove(entry: ScheduledTarget): void {
    clearTimeout(entry.timer);
    entry.probe.close();
    this.#entries.delete(entry.target.key);
  }

  #arm(entry: ScheduledTarget): void {
    clearTimeout(entry.timer);
    const delay = Math.min(Math.max(0, entry.due - this.#clock()), MAX_TIMER_MS);
    entry.timer = setTimeout(entry.fire, delay);
  }

  #fire(entry: ScheduledTarget): void {
    const instant = this.#clock();
    const lateMs = Math.max(0, instant - entry.due);
    addToSketch(this.#lateness, lateMs);
    entry.due = nextDue(entry, instant, this.#random());
    this.#arm(entry);
    // If this process is overloaded, a second concurrent probe would only add to the load.
    const overloaded = lateMs > entry.target.check.interval / 4;
    if (entry.running < (overloaded ? 1 : MAX_CONCURRENT)) void this.#probe(entry);
  }

  async #probe(entry: ScheduledTarget): Promise<void> {
    const { target } = entry;
    entry.running++;
    this.#counters.started++;
    const lateTimer = this.#watchForLateness(entry);
    const observation = await entry.probe.run();
    clearTimeout(lateTimer);
    entry.running--;
    if (observation.ok) entry.passTimes = addPassTime(entry.passTimes, observation.latencyMs);
    else this.#countFailure(observation.error ?? '');
    if (this.#entries.get(target.key) !== entry) return;
    this.#onResult({
      kind: 'probe',
      service: target.service,
      instance: target.instance,
      at: this.#now(),
      ...observation,
      ...(isLocalShortage(observation.error) && { blind: true }),
    });
  }

  #countFailure(error: string): void {
    const kind = failureKind(error);
    this.#counters.failed++;
    this.#failures[kind] = (this.#failures[kind] ?? 0) + 1;
  }

  /** Reports a probe that takes far longer than usual, while it goes on. */
  #watchForLateness(entry: ScheduledTarget): NodeJS.Timeout | undefined {
    const { target, passTimes } = entry;
    const lateMs = lateAfterMs(passTimes, target.check.timeout);
    if (lateMs === null) return undefined;
    const startedAt = performance.now();
    return setTimeout(() => {
      const latencyMs = performance.now() - startedAt;
      if (isOwnDelay(latencyMs, lateMs) || this.#entries.get(target.key) !== entry) return;
      this.#onResult({
        kind: 'probe',
        service: target.service,
        instance: target.instance,
        at: this.#now(),
        ok: false,
        early: true,
        latencyMs,
        error: `no answer within ${Math.round(lateMs)} ms`,
      });
    }, lateMs);
  }
}

/** When the next probe is due after one that started at `instant`. `random` is between 0 and 1. */
function nextDue(entry: ScheduledTarget, instant: number, random: number): number {
  const { check } = entry.target;
  const jitter = (random * 2 - 1) * JITTER;
  if (entry.interval !== 'normal') return instant + probeIntervalMs(entry.interval, check) * (1 + jitter);
  const grid =
    Math.ceil((instant - entry.phase) / check.interval + 2 * JITTER) * check.interval + entry.phase;
  return Math.max(instant + 1, grid + jitter * check.interval);
}

/** The gap doubles with every hint up to the fast interval, and is reset after a quiet time. */
const nextHintGap = (gap: number, since: number, fastInterval: number): number =>
  since > 2 * fastInterval ? MIN_HINT_GAP_MS : Math.min(gap * 2, Math.max(fastInterval, MIN_HINT_GAP_MS));

const isSameTarget = (a: ProbeTarget, b: ProbeTarget): boolean =>
  a.url === b.url &&
  a.http2 === b.http2 &&
  a.allowNetworks === b.allowNetworks &&
  (a.check === b.check || JSON.stringify(a.check) === JSON.stringify(b.check));

/** Replaces a probe that could not be created, for example because a certificate file is missing. */
const failingProbe = (error: string): Probe => ({
  run: (): Promise<ProbeObservation> => Promise.resolve({ ok: false, latencyMs: 0, error }),
  close: () => {},
});
