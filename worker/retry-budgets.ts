import { RetryBudget } from '../shared/retry-budget.ts';
import type { ServiceView } from '../shared/view.ts';

/** One retry budget per service. A service whose `retryBudget` changes gets a new one. */
export class RetryBudgets {
  readonly #byService = new Map<string, { fraction: number; budget: RetryBudget }>();

  forService(service: ServiceView): RetryBudget {
    const fraction = service.policy.failover.retryBudget;
    const known = this.#byService.get(service.id);
    if (known?.fraction === fraction) return known.budget;
    const budget = new RetryBudget(fraction);
    this.#byService.set(service.id, { fraction, budget });
    return budget;
  }
}
