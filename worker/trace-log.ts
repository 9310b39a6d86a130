import { type EdgeTrace, SLOW_REQUEST_MS } from '../shared/edge-trace.ts';
import { isSampled } from '../shared/trace-context.ts';

/** How many requests of each class one report describes in detail. */
const LIMITS = { failed: 40, slow: 20, rejected: 20, sampled: 40 };
/** Traces of reports that did not arrive are kept up to this number. */
const MAX_TRACES = 240;

const REJECTED: ReadonlySet<EdgeTrace['kind']> = new Set(['limited', 'forbidden', 'shed', 'unrouted']);

type TracedOutcome = Pick<EdgeTrace, 'kind' | 'status' | 'ms'> & {
  readonly attempts: number;
  readonly longLived?: boolean;
};

interface SiteTrace {
  /** Empty for a request that no site served. */
  readonly site: string;
  readonly trace: EdgeTrace;
}

/** Traces for the next reports: of requests that failed, were slow, rejected or sampled, within bounds. */
export class TraceLog {
  #traces: SiteTrace[] = [];
  #admitted = new Map<keyof typeof LIMITS, number>();
  #dropped = 0;

  get isEmpty(): boolean {
    return this.#traces.length === 0;
  }

  /** Whether to trace the request. Takes a place of its class; if none is free, the request counts as dropped. */
  admit(outcome: TracedOutcome, flags: string): boolean {
    const found = traceClassOf(outcome, flags);
    if (found === null) return false;
    const admitted = this.#admitted.get(found) ?? 0;
    if (admitted >= LIMITS[found]) {
      this.#dropped++;
      return false;
    }
    this.#admitted.set(found, admitted + 1);
    return true;
  }

  add(site: string, trace: EdgeTrace): void {
    if (this.#traces.length >= MAX_TRACES) this.#dropped++;
    else this.#traces.push({ site, trace });
  }

  /** Removes and returns the traces whose report is made now, by the site of the report. Starts a new period. */
  take(
    isTaken: (one: { site: string }) => boolean,
    reportOf: (site: string) => string,
  ): Map<string, EdgeTrace[]> {
    const { yes = [], no = [] } = Object.groupBy(this.#traces, (one) => (isTaken(one) ? 'yes' : 'no'));
    this.#traces = no;
    this.#admitted = new Map();
    const taken = new Map<string, EdgeTrace[]>();
    for (const { site, trace } of yes) {
      const report = reportOf(site);
      taken.set(report, [...(taken.get(report) ?? []), trace]);
    }
    return taken;
  }

  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}

function traceClassOf(outcome: TracedOutcome, flags: string): keyof typeof LIMITS | null {
  const { kind, status, attempts, ms, longLived } = outcome;
  if (REJECTED.has(kind)) return 'rejected';
  if (kind !== 'answer' || status >= 500 || attempts > 1) return 'failed';
  if (ms >= SLOW_REQUEST_MS && !longLived) return 'slow';
  return isSampled(flags) ? 'sampled' : null;
}
