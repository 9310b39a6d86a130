import { newEjection } from '../shared/ejection.ts';
import { newLatencyEstimate } from '../shared/latency.ts';
import type { View } from '../shared/view.ts';
import type { Gateways } from './gateways.ts';
import type { LimitLeases } from './io/limit-leases.ts';
import type { Limiters } from './io/limiters.ts';
import type { FallbackLimit } from './steps/fallback-limit.ts';

interface ClockDependents {
  readonly limiters: Pick<Limiters, 'reset'>;
  readonly fallbackLimit: Pick<FallbackLimit, 'reset'>;
  readonly leases: Pick<LimitLeases, 'reset'>;
  readonly gateways: Pick<Gateways, 'reset'>;
  readonly snapshots: { readonly view: Pick<View, 'services'> | null };
}

const TOLERANCE_MS = 1_000;

/**
 * Resets this isolate's time-based state when the clock is set back. Otherwise a used-up limit would stay used up, and an
 * ejected instance or gateway out, until the clock reaches the old time again.
 */
export class ClockGuard {
  #latest = 0;

  /** Call with the time of every request. */
  observe(now: number, { limiters, fallbackLimit, leases, gateways, snapshots }: ClockDependents): void {
    const wasSetBack = now < this.#latest - TOLERANCE_MS;
    this.#latest = now;
    if (!wasSetBack) return;
    limiters.reset();
    fallbackLimit.reset();
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
