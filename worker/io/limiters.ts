import { Gcra } from '../../shared/limits/gcra.ts';
import { type KeyedLimiter, MAX_KEYS } from '../../shared/limits/limiter.ts';
import type { CompiledRateLimit } from '../../shared/limits/policy.ts';
import { SlidingCounter } from '../../shared/limits/sliding-counter.ts';
import { SlidingLog } from '../../shared/limits/sliding-log.ts';
import type { ServiceView } from '../../shared/view.ts';

/** For all policies together. An isolate has 128 MB. */
const MEMORY_BUDGET_BYTES = 48 * 1024 * 1024;
/** Measured with IPv4 addresses: the string and its map entry. */
const TABLE_BYTES_PER_KEY = 140;
const MIN_KEYS = 1_024;

interface PolicySource {
  services: { values(): Iterable<Pick<ServiceView, 'id' | 'limits'>> };
}

/**
 * The rate-limit counters of this isolate. They outlive snapshots: an unchanged policy keeps its counts. When a policy is
 * new, the counters of removed policies are dropped. All policies share one memory budget.
 */
export class Limiters {
  readonly #view: () => PolicySource | null;
  #byPolicy = new WeakMap<CompiledRateLimit, KeyedLimiter>();
  readonly #byShape = new Map<string, KeyedLimiter>();

  constructor(view: () => PolicySource | null) {
    this.#view = view;
  }

  forPolicy(service: string, policy: CompiledRateLimit): KeyedLimiter {
    const known = this.#byPolicy.get(policy);
    if (known) return known;
    const shape = shapeOf(service, policy);
    const limiter = this.#byShape.get(shape) ?? this.#create(policy);
    this.#byShape.set(shape, limiter);
    this.#byPolicy.set(policy, limiter);
    return limiter;
  }

  reset(): void {
    this.#byPolicy = new WeakMap();
    this.#byShape.clear();
  }

  #create(policy: CompiledRateLimit): KeyedLimiter {
    const live = new Set(
      [...(this.#view()?.services.values() ?? [])].flatMap(({ id, limits }) =>
        limits.map((one) => shapeOf(id, one)),
      ),
    );
    for (const shape of this.#byShape.keys()) if (!live.has(shape)) this.#byShape.delete(shape);
    return createLimiter(policy, MEMORY_BUDGET_BYTES / Math.max(1, live.size));
  }
}

const shapeOf = (service: string, policy: CompiledRateLimit): string =>
  [policy.counterNamespace(service), policy.name, policy.windowMs, policy.burst, policy.maxLimit].join(' ');

/** A limiter that uses at most `bytes`, but has room for MIN_KEYS. */
function createLimiter(policy: CompiledRateLimit, bytes: number): KeyedLimiter {
  const { burst, maxLimit, windowMs } = policy;
  const keys = (rowBytes: number): number =>
    Math.max(MIN_KEYS, Math.min(MAX_KEYS, Math.floor(bytes / (rowBytes + TABLE_BYTES_PER_KEY))));
  if (burst !== undefined) return new Gcra(windowMs, burst, keys(16));
  const isExact = maxLimit <= SlidingLog.MAX_LIMIT && windowMs <= SlidingLog.MAX_WINDOW_MS;
  if (isExact) return new SlidingLog(maxLimit, windowMs, keys(4 * maxLimit + 2));
  return new SlidingCounter(windowMs, keys(SlidingCounter.ROW_BYTES));
}
