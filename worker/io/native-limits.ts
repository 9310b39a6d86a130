import type { CompiledRateLimit } from '../../shared/limits/policy.ts';
import type { Env } from '../env.ts';
import { withTimeout } from './with-timeout.ts';

/** A slower answer is not waited for: our own limits hold meanwhile. */
const PATIENCE_MS = 150;
const WARN_EVERY_MS = 60_000;

/**
 * Cloudflare's own rate-limit binding, for policies that name one: shared by a whole location, approximate, and says
 * only yes or no. It is asked beside our own limits, which hold when it is missing, slow or fails. An option: asking it
 * costs more than everything else the edge does.
 */
export class NativeLimits {
  readonly #env: Env;
  /** Binding → when it may be complained of again. As many as the policies name. */
  readonly #quietUntil = new Map<string, number>();

  constructor(env: Env) {
    this.#env = env;
  }

  async allows(
    name: string,
    service: string,
    policy: CompiledRateLimit,
    key: string,
    now: number,
  ): Promise<boolean> {
    const binding: unknown = Reflect.get(this.#env, name);
    if (!isRateLimit(binding)) {
      this.#warn(
        name,
        `no [[ratelimits]] binding has this name; policy ${policy.name} is held by our own limits`,
        now,
      );
      return true;
    }
    try {
      const asked = binding.limit({ key: `${policy.counterNamespace(service)}/${policy.name}/${key}` });
      return (await withTimeout(PATIENCE_MS, name, asked)).success;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#warn(name, `${why}; policy ${policy.name} is held by our own limits`, now);
      return true;
    }
  }

  #warn(binding: string, problem: string, now: number): void {
    if ((this.#quietUntil.get(binding) ?? 0) > now) return;
    this.#quietUntil.set(binding, now + WARN_EVERY_MS);
    console.warn(JSON.stringify({ event: 'native-limit', binding, problem }));
  }
}

function isRateLimit(value: unknown): value is RateLimit {
  return typeof value === 'object' && value !== null && 'limit' in value && typeof value.limit === 'function';
}
