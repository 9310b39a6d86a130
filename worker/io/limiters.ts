import { Gcra } from '../../shared/limits/gcra.ts';
import { type KeyedLimiter, MAX_KEYS } from '../../shared/limits/limiter.ts';
import type { CompiledRateLimit } from '../../shared/limits/policy.ts';
import { SlidingCounter } from '../../shared/limits/sliding-counter.ts';
import { SlidingLog } from '../../shared/limits/sliding-log.ts';
import type { ServiceView } from '../../shared/view.ts';

/** For all policies together: an isolate has 128 MB. */
const BUDGET_BYTES = 48 * 1024 * 1024;
/** Of one key in the table from keys to rows, as measured with IPv4 addresses: a string, a map's entry. */
const TABLE_BYTES_PER_KEY = 140;
const MIN_KEYS = 1_024;

/** What of a view tells which policies there are. */
interface PolicySource {
  services: { values(): Iterable<Pick<ServiceView, 'id' | 'limits'>> };
}

/**
 * The counts of this isolate. They outlive snapshots: a policy that did not change goes on counting; what no policy has
 * any more is let go when a new one comes. The policies share a budget of memory, whatever the number of clients.
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
    return createLimiter(policy, BUDGET_BYTES / Math.max(1, live.size));
  }
}

const shapeOf = (service: string, policy: CompiledRateLimit): string =>
  [policy.counterNamespace(service), policy.name, policy.windowMs, policy.burst, policy.maxLimit].join(' ');

/** A limiter that takes `bytes` at most, or what the fewest keys take. */
export function createLimiter(policy: CompiledRateLimit, bytes: number): KeyedLimiter {
  const { burst, maxLimit, windowMs } = policy;
  const keys = (rowBytes: number): number =>
    Math.max(MIN_KEYS, Math.min(MAX_KEYS, Math.floor(bytes / (rowBytes + TABLE_BYTES_PER_KEY))));
  if (burst !== undefined) return new Gcra(windowMs, burst, keys(8));
  const isExact = maxLimit <= SlidingLog.MAX_LIMIT && windowMs <= SlidingLog.MAX_WINDOW_MS;
  if (isExact) return new SlidingLog(maxLimit, windowMs, keys(4 * maxLimit + 2));
  return new SlidingCounter(windowMs, keys(24));
}
