import { newEjection } from '../shared/ejection.ts';
import { newLatencyEstimate } from '../shared/latency.ts';
import type { View } from '../shared/view.ts';
import type { Gateways } from './gateways.ts';
import type { LimitLeases } from './io/limit-leases.ts';
import type { Limiters } from './io/limiters.ts';

interface ClockDependents {
  readonly limiters: Pick<Limiters, 'reset'>;
  readonly leases: Pick<LimitLeases, 'reset'>;
  readonly gateways: Pick<Gateways, 'reset'>;
  readonly snapshots: { readonly view: Pick<View, 'services'> | null };
}

const TOLERANCE_MS = 1_000;

/**
 * After the clock was set back, a limit would stay used up, and an instance or gateway out, until it is again as late as
 * it was: so whatever this isolate has put a time to is forgotten.
 */
export class ClockGuard {
  #latest = 0;

  /** To be told the time of every request. */
  observe(now: number, { limiters, leases, gateways, snapshots }: ClockDependents): void {
    const setBack = now < this.#latest - TOLERANCE_MS;
    this.#latest = now;
    if (!setBack) return;
    limiters.reset();
    leases.reset();
    gateways.reset();
    for (const { candidates } of snapshots.view?.services.values() ?? []) {
      for (const { local } of candidates) {
        Object.assign(local.ejection, newEjection());
        Object.assign(local.latency, newLatencyEstimate());
      }
    }
  }
}
