import { compileNetworks } from '../shared/address.ts';
import { rateLimitHeaderItem, rateLimitPolicyHeaderItem, resetSeconds } from '../shared/limits/headers.ts';
import { compileRateLimit } from '../shared/limits/policy.ts';
import { SlidingLog } from '../shared/limits/sliding-log.ts';
import type { IncomingRequest } from './incoming-request.ts';
import type { EdgeSettings } from './settings.ts';

const isLoopback = compileNetworks(['127.0.0.0/8', '::1']);

/** Which clients exceed FALLBACK_LIMIT, which applies while there is no snapshot. */
export class FallbackLimit {
  readonly #settings: EdgeSettings['fallbackLimit'];
  #log: SlidingLog | null = null;

  constructor(settings: EdgeSettings['fallbackLimit']) {
    this.#settings = settings;
  }

  /** Null: the request may pass. */
  deniedBy({ clientAddress, clientKey, startedAt }: IncomingRequest) {
    if (!this.#settings || isLoopback(clientAddress)) return null;
    const { limit, windowMs } = this.#settings;
    this.#log ??= new SlidingLog(limit, windowMs);
    const decision = this.#log.take(clientKey, limit, 1, startedAt);
    if (decision.allowed) return null;
    const policy = compileRateLimit({ name: 'fallback', key: 'ip', limit, window: windowMs, scope: 'edge' });
    return {
      violated: [policy.name],
      retryAfterSeconds: resetSeconds(decision.resetMs),
      headers: {
        limit: rateLimitHeaderItem(policy, decision),
        policy: rateLimitPolicyHeaderItem(policy, limit),
      },
    };
  }

  reset(): void {
    this.#log = null;
  }
}
