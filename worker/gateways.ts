/** What this isolate knows of one gateway. */
type GatewayState =
  | { kind: 'in-use'; consecutive: number }
  /** Not used until then (epoch ms); `probing` while a single request tries it again. */
  | { kind: 'out'; until: number; backoffMs: number; probing: boolean };

/**
 * In a row, since the last answer. One alone proves little: HAProxy also closes the connection when a kept-alive
 * connection of its own to an instance turns out dead.
 */
const MAX_CONSECUTIVE_FAILURES = 3;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;

/** Which gateways answer. While one does not, traffic goes another way, and one request per interval tries it again. */
export class Gateways {
  readonly #states = new Map<string, GatewayState>();

  /** The first gateway in use, or whose turn it is to be tried again; null when all are out or `tried`. */
  choose(gateways: readonly string[], tried: readonly string[], now: number): string | null {
    for (const gateway of gateways) {
      if (tried.includes(gateway)) continue;
      const state = this.#states.get(gateway);
      if (state?.kind !== 'out') return gateway;
      if (state.until <= now) {
        // This request is the probe; the others keep away until it is answered or the interval is over.
        state.probing = true;
        state.until = now + state.backoffMs;
        return gateway;
      }
    }
    return null;
  }

  isInUse(gateway: string, now: number): boolean {
    const state = this.#states.get(gateway);
    return state?.kind !== 'out' || state.until <= now;
  }

  onResponse(gateway: string): void {
    if (this.#states.size > 0) this.#states.delete(gateway);
  }

  onFailure(gateway: string, now: number): void {
    const state = this.#states.get(gateway) ?? { kind: 'in-use', consecutive: 0 };
    if (state.kind === 'in-use') {
      const consecutive = state.consecutive + 1;
      this.#states.set(
        gateway,
        consecutive < MAX_CONSECUTIVE_FAILURES
          ? { kind: 'in-use', consecutive }
          : { kind: 'out', until: now + FIRST_BACKOFF_MS, backoffMs: FIRST_BACKOFF_MS, probing: false },
      );
    } else if (state.probing) {
      const backoffMs = Math.min(state.backoffMs * 2, MAX_BACKOFF_MS);
      this.#states.set(gateway, { kind: 'out', until: now + backoffMs, backoffMs, probing: false });
    }
    // Out and not probing: a request from before it was taken out, which says nothing new.
  }

  reset(): void {
    this.#states.clear();
  }

  status(now: number) {
    return [...this.#states].map(([gateway, state]) => ({
      gateway,
      outForMs: state.kind === 'out' ? Math.max(0, state.until - now) : 0,
    }));
  }
}
