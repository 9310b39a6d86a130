import { HedgeBudget, hasEnoughSamples, hedgeDelay } from '../shared/hedge.ts';
import type { Sketch } from '../shared/sketch.ts';
import type { ServiceView } from '../shared/view.ts';

/** Computing a percentile for every request would cost more than the hedges save. */
const REFRESH_MS = 1_000;
/** Each report resets the measurements. Until there are enough new ones, the last delay holds. */
const KEEP_MS = 60_000;

/** When this isolate hedges the requests of one service, and how often it may. */
export class ServiceHedging {
  readonly budget = new HedgeBudget();
  #delayMs = 0;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #measuredAt = Number.NEGATIVE_INFINITY;

  /** Milliseconds until a request is late. `latency`: what this isolate has measured lately. */
  delayMs(service: Pick<ServiceView, 'candidates'>, latency: Sketch | null, now: number): number {
    if (Math.abs(now - this.#refreshedAt) < REFRESH_MS) return this.#delayMs;
    this.#refreshedAt = now;
    if (latency && hasEnoughSamples(latency)) this.#measuredAt = now;
    else if (Math.abs(now - this.#measuredAt) < KEEP_MS) return this.#delayMs;
    this.#delayMs = hedgeDelay(latency, typicalLatency(service));
    return this.#delayMs;
  }
}

/** Hedging of every service. */
export class Hedging {
  readonly #byService = new Map<string, ServiceHedging>();

  forService({ id }: ServiceView): ServiceHedging {
    let hedging = this.#byService.get(id);
    if (!hedging) {
      hedging = new ServiceHedging();
      this.#byService.set(id, hedging);
    }
    return hedging;
  }
}

/** The median of the instances' latencies in the snapshot: a slow instance does not move it. */
function typicalLatency({ candidates }: Pick<ServiceView, 'candidates'>): number | undefined {
  const known = candidates.flatMap(({ latencyMs }) => latencyMs ?? []).sort((a, b) => a - b);
  return known[Math.floor((known.length - 1) / 2)];
}
