import {
  type Candidate,
  countServing,
  type IsolateState,
  newIsolateState,
  toCandidate,
} from '../../shared/balance/candidate.ts';
import { buildPool, type Pool, pickFrom } from '../../shared/balance/pool.ts';
import type { ServiceConfig } from '../../shared/config/config.ts';
import { recordFailure, recordSuccess } from '../../shared/ejection.ts';
import { backoffMs } from '../../shared/failover.ts';
import { recordLatency } from '../../shared/latency.ts';
import { RetryBudget } from '../../shared/retry-budget.ts';
import { addToSketch, emptySketch, type Sketch } from '../../shared/sketch.ts';
import { ServiceHedging } from '../../worker/hedging.ts';
import { type Published, START } from './agent.ts';
import { cancel, type Random, type Timer, type VirtualClock } from './clock.ts';
import type { Gateway, GatewayAnswer } from './gateway.ts';

/** How clients reach the instances. `gateway-only`: past the edge, so nothing is hedged or retried. */
export type Path = 'gateway' | 'direct' | 'gateway-only';

export interface ClientRequest {
  readonly method: 'GET' | 'POST';
  readonly holdMs: number;
  /** The instance of its session; null: none yet. */
  readonly pin: string | null;
}

/** What an isolate reports of one instance that it used past the gateway. */
export interface DirectCounts {
  success: number;
  failure: number;
  readonly latency: Sketch;
}

export interface RequestOutcome {
  readonly ok: boolean;
  /** The client gave up after its own timeout. */
  readonly stuck: boolean;
  readonly ms: number;
  readonly hedges: number;
  readonly attempts: number;
  readonly instance: string | null;
}

export interface EdgeOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly service: ServiceConfig;
  readonly path: Path;
  readonly clientTimeoutMs: number;
  readonly gateway: Gateway;
  readonly published: readonly Published[];
  /** How old the snapshot of an isolate is, milliseconds. */
  readonly snapshotAgeMs: number;
  /** The agent hears of direct requests in reports. */
  readonly onReport: (report: ReadonlyMap<string, DirectCounts>) => void;
}

const REPORT_MS = 10_000;
const MAX_COPIES = 2;
/** A pinned request is copied only once its instance is out of service; this often it is checked. */
const PIN_CHECK_MS = 250;
/** From the client to the gateway and back. */
const NETWORK_MS = 2;

/** One isolate of the edge: the decisions of worker/steps under the virtual clock. */
export class Isolate {
  readonly #hedging = new ServiceHedging();
  readonly budget = this.#hedging.budget;
  readonly retryBudget: RetryBudget;
  readonly options: EdgeOptions;
  #snapshotAge: number;
  #latency: Sketch = emptySketch();
  #latencySince = 0;
  #seen: Published | null = null;
  #candidates: readonly Candidate[] = [];
  #pool: Pool | null = null;
  #report = new Map<string, DirectCounts>();
  readonly #locals = new Map<string, IsolateState>();
  readonly #cursor = { cursor: 0 };

  constructor(options: EdgeOptions) {
    this.options = options;
    this.retryBudget = new RetryBudget(options.service.failover.retryBudget);
    this.#snapshotAge = options.snapshotAgeMs * options.random.next();
  }

  get now(): number {
    return START + this.options.clock.now;
  }

  send(request: ClientRequest, done: (outcome: RequestOutcome) => void): void {
    this.retryBudget.deposit(this.now);
    this.budget.onRequest();
    new EdgeRequest(this, request, done).start();
  }

  /** Of the snapshot that this isolate has now. */
  candidates(): readonly Candidate[] {
    const { published, clock } = this.options;
    const newest =
      published.findLast(({ at }) => at <= clock.now - this.#snapshotAge) ?? published[0] ?? null;
    if (newest !== this.#seen && newest) {
      this.#seen = newest;
      this.#pool = null;
      this.#candidates = newest.instances.map((entry) => {
        const local = this.#locals.get(entry.id) ?? newIsolateState();
        this.#locals.set(entry.id, local);
        return toCandidate(entry, { service: 'gs', site: 'main', direct: entry.url }, local);
      });
    }
    return this.#candidates;
  }

  pick(tried: readonly Candidate[]): Candidate | null {
    const { service, random } = this.options;
    const candidates = this.candidates();
    const { now } = this;
    if (!this.#pool || now >= this.#pool.staleAt) {
      const policy = { strategy: service.strategy, slowStart: service.slowStart, mayPanic: true };
      this.#pool = buildPool(candidates, policy, this.#cursor, now);
    }
    return pickFrom(this.#pool, tried, { now, random: random.next, keyHash: 0 })?.candidate ?? null;
  }

  hedgeDelayMs(): number {
    const measured = this.#latency.count > 0 ? this.#latency : null;
    return this.#hedging.delayMs({ candidates: this.candidates() }, measured, this.now);
  }

  onOutcome(ms: number): void {
    if (this.now - this.#latencySince >= REPORT_MS) {
      this.#latencySince = this.now;
      this.#latency = emptySketch();
      this.options.onReport(this.#report);
      this.#report = new Map();
    }
    addToSketch(this.#latency, ms);
  }

  /** Learns from one attempt, as worker/steps/record-attempt.ts does. */
  onAttempt(id: string | null, ok: boolean, ms: number): void {
    const local = id === null ? undefined : this.#locals.get(id);
    if (!local || id === null) return;
    const { now } = this;
    if (this.options.path === 'direct') {
      const counters = this.#report.get(id) ?? { success: 0, failure: 0, latency: emptySketch() };
      this.#report.set(id, counters);
      if (ok) counters.success++;
      else counters.failure++;
      addToSketch(counters.latency, ms);
    }
    if (ok) {
      recordSuccess(local.ejection);
      recordLatency(local.latency, ms, now);
      return;
    }
    const failed = this.candidates().find((one) => one.id === id);
    if (failed) recordFailure(local.ejection, now, () => countServing(this.candidates(), failed, now));
  }
}

interface Attempt {
  readonly candidate: Candidate | null;
  readonly startedAt: number;
  readonly isCopy: boolean;
  close: () => void;
}

/** One request of a client: attempts, copies and retries until it is answered. */
class EdgeRequest {
  readonly #isolate: Isolate;
  readonly #request: ClientRequest;
  readonly #done: (outcome: RequestOutcome) => void;
  readonly #startedAt: number;
  readonly #running = new Set<Attempt>();
  readonly #tried: Candidate[] = [];
  #attempts = 0;
  #copies = 0;
  #clientTimer: Timer | undefined;
  #hedgeTimer: Timer | undefined;
  #pinned: Candidate | null = null;
  #ended = false;

  constructor(isolate: Isolate, request: ClientRequest, done: (outcome: RequestOutcome) => void) {
    this.#isolate = isolate;
    this.#request = request;
    this.#done = done;
    this.#startedAt = isolate.options.clock.now;
  }

  start(): void {
    const { clock, clientTimeoutMs, path, service } = this.#isolate.options;
    const { method, holdMs, pin } = this.#request;
    this.#clientTimer = clock.after(holdMs + clientTimeoutMs, () => this.#end(false, true, null));
    const pinned = this.#isolate.candidates().find(({ id }) => id === pin) ?? null;
    this.#pinned = pinned && pinned.state !== 'down' ? pinned : null;
    const first = this.#pinned ?? (path === 'direct' ? this.#isolate.pick([]) : null);
    this.#attempt(first, false);
    if (path === 'gateway-only' || !service.failover.hedge || method !== 'GET') return;
    const delayMs = this.#isolate.hedgeDelayMs();
    this.#hedgeAfter(this.#pinned ? PIN_CHECK_MS : delayMs);
  }

  #hedgeAfter(delayMs: number): void {
    this.#hedgeTimer = this.#isolate.options.clock.after(delayMs, () => {
      this.#hedge();
      if (this.#copies < MAX_COPIES && !this.#ended) this.#hedgeAfter(delayMs);
    });
  }

  #hedge(): void {
    if (this.#running.size === 0 || this.#attempts > 1 + this.#copies) return;
    const { now, budget, retryBudget } = this.#isolate;
    const pinned = this.#pinned?.id;
    const isServing = ({ id, state }: Candidate): boolean => id === pinned && state !== 'down';
    if (pinned !== undefined && this.#isolate.candidates().some(isServing)) return;
    const excluded = [...this.#running].flatMap(({ candidate }) => candidate ?? []);
    const other = this.#isolate.pick([...this.#tried, ...excluded]);
    if (!other || !retryBudget.canWithdraw(now) || !budget.tryHedge(now)) return;
    retryBudget.tryWithdraw(now);
    this.#copies++;
    this.#attempt(other, true);
  }

  #attempt(candidate: Candidate | null, isCopy: boolean): void {
    const { clock, path, gateway } = this.#isolate.options;
    const { method, holdMs } = this.#request;
    const attempt: Attempt = { candidate, isCopy, startedAt: clock.now, close: () => undefined };
    this.#attempts++;
    this.#running.add(attempt);
    if (candidate) candidate.local.pending++;
    const onAnswer = (answer: GatewayAnswer): void => {
      clock.after(NETWORK_MS / 2, () => this.#onAnswer(attempt, answer));
    };
    clock.after(NETWORK_MS / 2, () => {
      if (!this.#running.has(attempt)) return;
      const target = candidate?.id ?? null;
      attempt.close =
        path === 'direct' && candidate
          ? gateway.sendDirectly(candidate.id, holdMs, onAnswer)
          : gateway.send({ method, holdMs, target }, onAnswer);
    });
  }

  #onAnswer(attempt: Attempt, answer: GatewayAnswer): void {
    if (!this.#running.delete(attempt)) return;
    const { clock } = this.#isolate.options;
    const { candidate } = attempt;
    if (candidate) candidate.local.pending--;
    const ok = answer.kind === 'ok';
    this.#isolate.onAttempt(answer.instance ?? candidate?.id ?? null, ok, clock.now - attempt.startedAt);
    const served = this.#isolate.candidates().find(({ id }) => id === answer.instance) ?? candidate;
    if (!ok && served) this.#tried.push(served);
    if (!ok && this.#running.size > 0) return;
    if (this.#copies > 0) this.#isolate.budget.onResult(attempt.isCopy, clock.now - this.#startedAt);
    // A 500 is the answer of the application, and final.
    if (ok || answer.kind === 'error') this.#end(ok, false, answer.instance);
    else this.#retry(answer);
  }

  #retry(answer: GatewayAnswer): void {
    const { service, clock, random, path } = this.#isolate.options;
    const { retryBudget, now } = this.#isolate;
    const mayRepeat = answer.kind === 'unsent' || this.#request.method === 'GET';
    const isAllowed = path !== 'gateway-only' && this.#attempts < service.failover.maxAttempts;
    if (!mayRepeat || !isAllowed || !retryBudget.tryWithdraw(now)) {
      this.#end(false, false, null);
      return;
    }
    cancel(this.#hedgeTimer);
    clock.after(backoffMs(this.#attempts, service.failover.backoff, random.next), () => {
      if (this.#ended) return;
      this.#attempt(this.#isolate.pick(this.#tried) ?? this.#tried.shift() ?? null, false);
    });
  }

  #end(ok: boolean, stuck: boolean, instance: string | null): void {
    if (this.#ended) return;
    this.#ended = true;
    cancel(this.#clientTimer);
    cancel(this.#hedgeTimer);
    for (const { candidate, close } of this.#running) {
      if (candidate) candidate.local.pending--;
      close();
    }
    this.#running.clear();
    const ms = this.#isolate.options.clock.now - this.#startedAt;
    this.#isolate.onOutcome(ms);
    this.#done({ ok, stuck, ms, hedges: this.#copies, attempts: this.#attempts, instance });
  }
}
