import type { EdgeAttempts, EdgeReport, EdgeRequests } from '../shared/edge-report.ts';
import type { CompiledRateLimit } from '../shared/limits/policy.ts';
import { addToSketch, emptySketch } from '../shared/sketch.ts';

type LimitCounts = EdgeReport['limits'][number];

/** How a request ended, as seen by the client. */
export interface RequestOutcome {
  status: number;
  attempts: number;
  /** Copies sent because an attempt was late. */
  hedges: number;
  /** Whether the last attempt used another instance than the first. */
  moved: boolean;
  /** `limited` and `forbidden`: rejected before an instance was picked. */
  kind: 'answer' | 'stale' | 'shed' | 'unavailable' | 'limited' | 'forbidden';
  ms: number;
}

/** This isolate's counts since its last report. Bounded by the number of services, instances and policies. */
export class EdgeCounters {
  readonly isolate: string;
  #seq = 0;
  #from: number;
  #attempts = new Map<string, EdgeAttempts & { site: string }>();
  #limits = new Map<string, LimitCounts>();
  #requests = new Map<string, EdgeRequests>();

  constructor(isolate: string, now: number) {
    this.isolate = isolate;
    this.#from = now;
  }

  countAttempt(
    target: { site: string; service: string; instance: string; path: 'gateway' | 'direct' },
    success: boolean,
    ms: number,
  ): void {
    const key = `${target.site} ${target.service} ${target.instance} ${target.path}`;
    let attempts = this.#attempts.get(key);
    if (!attempts) {
      attempts = { ...target, success: 0, failure: 0, latency: emptySketch() };
      this.#attempts.set(key, attempts);
    }
    if (success) attempts.success++;
    else attempts.failure++;
    addToSketch(attempts.latency, ms);
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

  countRequest(service: string, outcome: RequestOutcome): void {
    let requests = this.#requests.get(service);
    if (!requests) {
      requests = newRequests(service);
      this.#requests.set(service, requests);
    }
    requests.total++;
    if (outcome.status < 300) requests.status2xx++;
    else if (outcome.status < 400) requests.status3xx++;
    else if (outcome.status < 500) requests.status4xx++;
    else requests.status5xx++;
    if (outcome.attempts > 1) requests.retries += outcome.attempts - 1;
    if (outcome.moved) requests.failovers++;
    requests.hedges += outcome.hedges;
    if (outcome.kind !== 'answer') requests[outcome.kind]++;
    // A rejected request takes no time: counting it would make the service look faster than it is.
    if (outcome.kind !== 'limited' && outcome.kind !== 'forbidden') addToSketch(requests.latency, outcome.ms);
  }

  get isEmpty(): boolean {
    return this.#requests.size === 0 && this.#limits.size === 0;
  }

  get since(): number {
    return this.#from;
  }

  /** Latencies of the service's requests since the last report; null without any. */
  latencySketch(service: string): EdgeRequests['latency'] | null {
    return this.#requests.get(service)?.latency ?? null;
  }

  /** One report per site, with the attempts at that site. The first one also has limits and requests. Resets all counts. */
  takeReports(
    sites: readonly { site: string; snapshot: EdgeReport['snapshot'] }[],
    now: number,
  ): EdgeReport[] {
    const attempts = [...this.#attempts.values()];
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
        tries: attempts.filter((one) => one.site === site).map(({ site: _, ...rest }) => rest),
        limits: index === 0 ? [...this.#limits.values()] : [],
        requests: index === 0 ? [...this.#requests.values()] : [],
      }),
    );
    this.#from = now;
    this.#attempts = new Map();
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
  hedges: 0,
  stale: 0,
  shed: 0,
  unavailable: 0,
  limited: 0,
  forbidden: 0,
  latency: emptySketch(),
});
