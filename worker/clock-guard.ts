import { newEjection } from '../shared/ejection.ts';
import { newLatencyEstimate } from '../shared/latency.ts';
import type { View } from '../shared/view.ts';

interface Resettable {
  reset(): void;
}

interface ClockDependents {
  readonly limiters: Resettable;
  readonly fallbackLimit: Resettable;
  readonly leases: Resettable;
  readonly gateways: Resettable;
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
