import { Gcra } from '../../shared/limits/gcra.ts';
import type { KeyedLimiter } from '../../shared/limits/limiter.ts';
import type { CompiledPolicy } from '../../shared/limits/policy.ts';
import { SlidingCounter } from '../../shared/limits/sliding-counter.ts';
import { SlidingLog } from '../../shared/limits/sliding-log.ts';

/** The counts of this isolate. They outlive snapshots: a policy that did not change goes on counting. */
export class Limiters {
  #byPolicy = new WeakMap<CompiledPolicy, KeyedLimiter>();
  readonly #byShape = new Map<string, KeyedLimiter>();

  of(service: string, policy: CompiledPolicy): KeyedLimiter {
    const known = this.#byPolicy.get(policy);
    if (known) return known;
    const shape = [policy.bookOf(service), policy.name, policy.windowMs, policy.burst, policy.maxLimit].join(
      ' ',
    );
    const limiter = this.#byShape.get(shape) ?? createLimiter(policy);
    this.#byShape.set(shape, limiter);
    this.#byPolicy.set(policy, limiter);
    return limiter;
  }
}

function createLimiter(policy: CompiledPolicy): KeyedLimiter {
  if (policy.burst !== undefined) return new Gcra(policy.windowMs, policy.burst);
  if (policy.maxLimit <= SlidingLog.MAX_LIMIT) return new SlidingLog(policy.maxLimit, policy.windowMs);
  return new SlidingCounter(policy.windowMs);
}
