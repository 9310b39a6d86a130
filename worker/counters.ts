import {
  type EdgeAttempts,
  type EdgeReport,
  type EdgeRequests,
  REQUEST_COUNTS,
} from '../shared/edge-report.ts';
import type { EdgeTrace } from '../shared/edge-trace.ts';
import type { CompiledRateLimit } from '../shared/limits/policy.ts';
import { addToSketch, emptySketch, mergeSketch, type Sketch } from '../shared/sketch.ts';
import { PairMap } from './pair-map.ts';
import { TraceLog } from './trace-log.ts';

type LimitCounts = EdgeReport['limits'][number];
type AttemptCounts = EdgeAttempts & { site: string };

/** How a request ended, as seen by the client. */
export interface RequestOutcome {
  status: number;
  attempts: number;
  /** Copies sent because an attempt was late. */
  hedges: number;
  /** Whether the last attempt used another instance than the first. */
  moved: boolean;
  /** `limited` and `forbidden`: rejected before an instance was picked. */
  kind: Exclude<EdgeTrace['kind'], 'unrouted'>;
  ms: number;
  /** The service holds such an answer on purpose, so its time does not count as latency. */
  longLived?: boolean;
}

/** The sites that get a report now. */
export interface ReportPlan {
  sites: readonly { site: string; snapshot: EdgeReport['snapshot'] }[];
  /** Sites whose last report is still on its way: their counts stay until the next one. */
  waiting: ReadonlySet<string>;
}

/** This isolate's counts since its last report. Bounded by the number of sites, services, instances and policies. */
export class EdgeCounters {
  readonly isolate: string;
  #seq = 0;
  #from: number;
  /** By service and instance: an entry for each of its sites and paths, nearly always one. */
  readonly #attempts = new PairMap<AttemptCounts[]>();
  /** By service and policy. */
  #limits = new PairMap<LimitCounts>();
  /** By service and site; the site is '' for a request that no site served. */
  readonly #requests = new PairMap<EdgeRequests & { site: string }>();
  #latencies = new Map<string, Sketch>();
  readonly traces = new TraceLog();

  constructor(isolate: string, now: number) {
    this.isolate = isolate;
    this.#from = now;
  }

  /** `ms`: null if the time says nothing about the instance. */
  countAttempt(
    target: { site: string; service: string; instance: string; path: 'gateway' | 'direct' },
    success: boolean,
    ms: number | null,
  ): void {
    const { site, service, instance, path } = target;
    const entries = this.#attempts.getOrAdd(service, instance, () => []);
    let attempts = entries.find((one) => one.site === site && one.path === path);
    if (!attempts) {
      attempts = { ...target, success: 0, failure: 0, latency: emptySketch() };
      entries.push(attempts);
    }
    if (success) attempts.success++;
    else attempts.failure++;
    if (ms !== null) addToSketch(attempts.latency, ms);
  }

  countLimitDecision(service: string, policy: CompiledRateLimit, allowed: boolean): void {
    const counts = this.#limitCounts(service, policy.name);
    if (allowed) counts.allowed++;
    else if (policy.shadow) counts.shadowDenied++;
    else counts.denied++;
  }

  #limitCounts(service: string, policy: string): LimitCounts {
    const create = (): LimitCounts => ({ service, policy, allowed: 0, denied: 0, shadowDenied: 0 });
    return this.#limits.getOrAdd(service, policy, create);
  }

  #requestCounts(site: string, service: string): EdgeRequests {
    return this.#requests.getOrAdd(service, site, () => ({ site, ...newRequests(service) }));
  }

  /** `site`: the one that answered, or was asked last; null when the request was sent to none. */
  countRequest(service: string, site: string | null, outcome: RequestOutcome): void {
    const requests = this.#requestCounts(site ?? '', service);
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
    if (outcome.kind === 'limited' || outcome.kind === 'forbidden' || outcome.longLived) return;
    addToSketch(requests.latency, outcome.ms);
    let latency = this.#latencies.get(service);
    if (!latency) {
      latency = emptySketch();
      this.#latencies.set(service, latency);
    }
    addToSketch(latency, outcome.ms);
  }

  get isEmpty(): boolean {
    return this.#requests.isEmpty && this.#limits.isEmpty && this.traces.isEmpty;
  }

  get since(): number {
    return this.#from;
  }

  /** Latencies of the service's requests since the last report; null without any. */
  latencySketch(service: string): Sketch | null {
    return this.#latencies.get(service) ?? null;
  }

  /**
   * One report per site of the plan: its attempts and the requests that it served, each request in exactly one report.
   * The first report also has the limits, and the requests of every site that is neither in the plan nor waiting.
   * Removes what is in the reports.
   */
  takeReports({ sites, waiting }: ReportPlan, now: number): EdgeReport[] {
    const carrier = sites[0]?.site;
    this.#latencies = new Map();
    if (carrier === undefined) return [];
    this.#seq++;
    const attempts = this.#attempts.values().flat();
    const requests = this.#requests.values();
    const named = new Set(sites.map(({ site }) => site));
    const reportOf = (site: string): string => (named.has(site) ? site : carrier);
    const isTaken = ({ site }: { site: string }): boolean => !waiting.has(site);
    const taken = Map.groupBy(requests.filter(isTaken), ({ site }) => reportOf(site));
    const tracesDropped = this.traces.takeDropped();
    const traces = this.traces.take(isTaken, reportOf);
    const reports = sites.map(
      ({ site, snapshot }): EdgeReport => ({
        v: 1,
        site,
        isolate: this.isolate,
        seq: this.#seq,
        from: this.#from,
        to: now,
        snapshot,
        tries: attempts.filter((one) => one.site === site).map(({ site: _, ...rest }) => rest),
        limits: site === carrier ? this.#limits.values() : [],
        requests: sumByService(taken.get(site) ?? []),
        ...(traces.has(site) && { traces: traces.get(site) ?? [] }),
        ...(site === carrier && tracesDropped > 0 && { tracesDropped }),
      }),
    );
    this.#from = now;
    this.#limits = new PairMap();
    this.#attempts.retain((entries) => {
      entries.splice(0, entries.length, ...entries.filter((one) => !isTaken(one)));
      return entries.length > 0;
    });
    this.#requests.retain((one) => !isTaken(one));
    return reports;
  }

  /**
   * Puts back what a report counted, for the report of another site. Attempts matter only to the
   * report's own site.
   */
  putBack({ requests, limits, traces }: Pick<EdgeReport, 'requests' | 'limits' | 'traces'>): void {
    for (const trace of traces ?? []) this.traces.add('', trace);
    for (const one of requests) addRequests(this.#requestCounts('', one.service), one);
    for (const one of limits) {
      const counts = this.#limitCounts(one.service, one.policy);
      counts.allowed += one.allowed;
      counts.denied += one.denied;
      counts.shadowDenied += one.shadowDenied;
    }
  }
}

function sumByService(requests: readonly EdgeRequests[]): EdgeRequests[] {
  const sums = new Map<string, EdgeRequests>();
  for (const one of requests) {
    const sum = sums.get(one.service) ?? newRequests(one.service);
    sums.set(one.service, sum);
    addRequests(sum, one);
  }
  return [...sums.values()];
}

function addRequests(into: EdgeRequests, other: EdgeRequests): void {
  for (const name of REQUEST_COUNTS) into[name] += other[name];
  mergeSketch(into.latency, other.latency);
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
