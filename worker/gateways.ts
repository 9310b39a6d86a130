/** What this isolate knows about one gateway. `until` is epoch ms. */
type GatewayState =
  | { kind: 'in-use'; consecutiveFailures: number }
  /** Not used until then. */
  | { kind: 'out'; until: number; backoffMs: number }
  /** One request is trying it again. If its result never comes, another may try at `until`. */
  | { kind: 'probing'; until: number; backoffMs: number };

/**
 * One failure proves little: HAProxy also closes a client connection when its own kept-alive connection to an instance
 * turns out to be dead.
 */
const MAX_CONSECUTIVE_FAILURES = 3;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;

/** Which gateways work. A failed one is not used, except by one request per backoff interval that tries it again. */
export class Gateways {
  readonly #states = new Map<string, GatewayState>();

  /** The first usable gateway that is not `excluded`, or null. The caller must report the result for it. */
  choose(gateways: readonly string[], excluded: readonly string[], now: number): string | null {
    for (const gateway of gateways) {
      if (excluded.includes(gateway)) continue;
      const state = this.#states.get(gateway);
      if (!state || state.kind === 'in-use') return gateway;
      if (state.until <= now) {
        const { backoffMs } = state;
        this.#states.set(gateway, { kind: 'probing', until: now + backoffMs, backoffMs });
        return gateway;
      }
    }
    return null;
  }

  isInUse(gateway: string, now: number): boolean {
    const state = this.#states.get(gateway);
    return !state || state.kind === 'in-use' || state.until <= now;
  }

  onResponse(gateway: string): void {
    if (this.#states.size > 0) this.#states.delete(gateway);
  }

  onFailure(gateway: string, now: number): void {
    const state = this.#states.get(gateway) ?? { kind: 'in-use', consecutiveFailures: 0 };
    switch (state.kind) {
      case 'in-use': {
        const consecutiveFailures = state.consecutiveFailures + 1;
        if (consecutiveFailures >= MAX_CONSECUTIVE_FAILURES) this.#takeOut(gateway, FIRST_BACKOFF_MS, now);
        else this.#states.set(gateway, { kind: 'in-use', consecutiveFailures });
        break;
      }
      case 'probing':
        this.#takeOut(gateway, Math.min(state.backoffMs * 2, MAX_BACKOFF_MS), now);
        break;
      case 'out':
        // The request was sent before the gateway was taken out, so its failure changes nothing.
        break;
    }
  }

  reset(): void {
    this.#states.clear();
  }

  status(now: number) {
    return [...this.#states].map(([gateway, state]) => ({
      gateway,
      outForMs: state.kind === 'in-use' ? 0 : Math.max(0, state.until - now),
    }));
  }

  #takeOut(gateway: string, backoffMs: number, now: number): void {
    this.#states.set(gateway, { kind: 'out', until: now + backoffMs, backoffMs });
  }
}
