import { newEjection } from '../shared/ejection.ts';
import { newLatency } from '../shared/latency.ts';
import type { View } from '../shared/view.ts';
import type { Gateways } from './gateways.ts';
import type { Leases } from './io/leases.ts';
import type { Limiters } from './io/limiters.ts';

interface Timed {
  readonly limiters: Pick<Limiters, 'forget'>;
  readonly leases: Pick<Leases, 'forget'>;
  readonly gateways: Pick<Gateways, 'forget'>;
  readonly snapshots: { readonly view: Pick<View, 'services'> | null };
}

const SLACK_MS = 1_000;

/**
 * After the clock was set back, a limit would stay used up, and an instance or gateway out, until it is again as late as
 * it was: so whatever this isolate has put a time to is forgotten.
 */
export class Clock {
  #latest = 0;

  /** To be told the time of every request. */
  saw(now: number, { limiters, leases, gateways, snapshots }: Timed): void {
    const setBack = now < this.#latest - SLACK_MS;
    this.#latest = now;
    if (!setBack) return;
    limiters.forget();
    leases.forget();
    gateways.forget();
    for (const { candidates } of snapshots.view?.services.values() ?? []) {
      for (const { local } of candidates) {
        Object.assign(local.ejection, newEjection());
        Object.assign(local.latency, newLatency());
      }
    }
  }
}
