import type { EdgeAttempts, EdgeReport, EdgeRequests } from '../shared/edge-report.ts';
import type { CompiledRateLimit } from '../shared/limits/policy.ts';
import { addToSketch, emptySketch } from '../shared/sketch.ts';

type LimitCounts = EdgeReport['limits'][number];

/** How a client's request ended, as it saw it. */
export interface RequestOutcome {
  status: number;
  attempts: number;
  /** Whether the last try went elsewhere than the first. */
  moved: boolean;
  /** `limited` and `forbidden` were turned away before any instance was chosen. */
  kind: 'answer' | 'stale' | 'shed' | 'unavailable' | 'limited' | 'forbidden';
  ms: number;
}

/** What this isolate has seen since its last report. Bounded by the number of services, instances and policies. */
export class EdgeCounters {
  readonly isolate: string;
  #seq = 0;
  #from: number;
  #tries = new Map<string, EdgeAttempts & { site: string }>();
  #limits = new Map<string, LimitCounts>();
  #requests = new Map<string, EdgeRequests>();

  constructor(isolate: string, now: number) {
    this.isolate = isolate;
    this.#from = now;
  }

  countAttempt(
    place: { site: string; service: string; instance: string },
    path: 'gateway' | 'direct',
    success: boolean,
    ms: number,
  ): void {
    const key = `${place.site} ${place.service} ${place.instance} ${path}`;
    let tries = this.#tries.get(key);
    if (!tries) {
      tries = { ...place, path, success: 0, failure: 0, latency: emptySketch() };
      this.#tries.set(key, tries);
    }
    if (success) tries.success++;
    else tries.failure++;
    addToSketch(tries.latency, ms);
  }

  countLimitDecision(service: string, policy: CompiledRateLimit, allowed: boolean): void {
    const key = `${service} ${policy.name}`;
    let counts = this.#limits.get(key);
    if (!counts) {
      counts = { service, policy: policy.name, allowed: 0, denied: 0, shadowDenied: 0 };
      this.#limits.set(key, counts);
    }
    if (allowed) counts.allowed++;
    else if (policy.shadow) counts.shadowDenied++;
    else counts.denied++;
  }

  countRequest(service: string, ending: RequestOutcome): void {
    let requests = this.#requests.get(service);
    if (!requests) {
      requests = newRequests(service);
      this.#requests.set(service, requests);
    }
    requests.total++;
    if (ending.status < 300) requests.status2xx++;
    else if (ending.status < 400) requests.status3xx++;
    else if (ending.status < 500) requests.status4xx++;
    else requests.status5xx++;
    if (ending.attempts > 1) requests.retries += ending.attempts - 1;
    if (ending.moved) requests.failovers++;
    if (ending.kind !== 'answer') requests[ending.kind]++;
    // What was turned away took no time: it would make the service look faster than it is.
    if (ending.kind !== 'limited' && ending.kind !== 'forbidden') addToSketch(requests.latency, ending.ms);
  }

  get isEmpty(): boolean {
    return this.#requests.size === 0 && this.#limits.size === 0;
  }

  get since(): number {
    return this.#from;
  }

  /** The latency below which 95 % of a service's recent requests were answered is read from this; null: none seen. */
  latencySketch(service: string): EdgeRequests['latency'] | null {
    return this.#requests.get(service)?.latency ?? null;
  }

  /** One report a site, each with that site's tries; what is not bound to a site goes with the first. Starts anew. */
  takeReports(
    sites: readonly { site: string; snapshot: EdgeReport['snapshot'] }[],
    now: number,
  ): EdgeReport[] {
    const tries = [...this.#tries.values()];
    this.#seq++;
    const reports = sites.map(
      ({ site, snapshot }, index): EdgeReport => ({
        v: 1,
        site,
        isolate: this.isolate,
        seq: this.#seq,
        from: this.#from,
        to: now,
        snapshot,
        tries: tries.filter((one) => one.site === site).map(({ site: _, ...rest }) => rest),
        limits: index === 0 ? [...this.#limits.values()] : [],
        requests: index === 0 ? [...this.#requests.values()] : [],
      }),
    );
    this.#from = now;
    this.#tries = new Map();
    this.#limits = new Map();
    this.#requests = new Map();
    return reports;
  }
}

const newRequests = (service: string): EdgeRequests => ({
  service,
  total: 0,
  status2xx: 0,
  status3xx: 0,
  status4xx: 0,
  status5xx: 0,
  retries: 0,
  failovers: 0,
  stale: 0,
  shed: 0,
  unavailable: 0,
  limited: 0,
  forbidden: 0,
  latency: emptySketch(),
});
