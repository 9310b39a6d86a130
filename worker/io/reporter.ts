import type { EdgeReport } from '../../shared/edge-report.ts';
import { elapsedMs } from '../../shared/elapsed.ts';
import type { EdgeCounters } from '../counters.ts';
import type { Gateways } from '../gateways.ts';
import type { SnapshotStore } from '../snapshots/store.ts';
import type { GatewayTokens } from './gateway-tokens.ts';
import type { Upstreams } from './upstreams.ts';

const INTERVAL_MS = 10_000;
const TIMEOUT_MS = 5_000;
/** A site that missed this many reports in a row gets none for a while: another site's gateway takes its requests. */
const MAX_MISSED = 2;
const RETRY_SITE_AFTER_MS = 60_000;

interface ReporterContext {
  readonly counters: EdgeCounters;
  readonly gateways: Gateways;
  readonly snapshots: SnapshotStore;
  readonly gatewayTokens: GatewayTokens;
  readonly upstreams: Upstreams;
  readonly now: () => number;
}

/** `refused`: the agent will never accept this report. */
type Delivery = 'delivered' | 'refused' | 'failed';

/** Reports that did not arrive, and since when the site gets no more. */
interface MissedReports {
  count: number;
  at: number;
}

/**
 * Sends the counters to each site's agent through its gateway. A report that did not arrive is kept and sent again as
 * it is, so that the agent recognizes it if it had arrived after all. When the site stays out of reach, its requests go
 * into the report of another site. Memory is bounded: one report per site, and the counters.
 */
export class Reporter {
  /** When the last round of reports started; null: none has. */
  #startedAt: number | null = null;
  /**
   * A request context can end without notice, so its work counts as finished after a while. Null: nothing is pending.
   */
  #sendingSince: number | null = null;
  #waitingSince: number | null = null;
  readonly #undelivered = new Map<string, EdgeReport>();
  readonly #missed = new Map<string, MissedReports>();

  /**
   * Call at the end of each request. Sends reports in the background once per interval, also when no request follows.
   */
  flushIfDue(edge: ReporterContext, ctx: ExecutionContext, now: number): void {
    this.#startedAt ??= edge.counters.since;
    const elapsed = elapsedMs(this.#startedAt, now);
    if (elapsed >= INTERVAL_MS) {
      if (!isPending(this.#sendingSince, TIMEOUT_MS, now)) ctx.waitUntil(this.#flushAndRetry(edge, now));
    } else if (!isPending(this.#waitingSince, INTERVAL_MS, now)) {
      ctx.waitUntil(this.#flushLater(edge, INTERVAL_MS - elapsed));
    }
  }

  async #flushLater(edge: ReporterContext, afterMs: number): Promise<void> {
    await this.#wait(edge, afterMs);
    const now = edge.now();
    const isDue = this.#startedAt !== null && elapsedMs(this.#startedAt, now) >= INTERVAL_MS;
    if (isDue && !isPending(this.#sendingSince, TIMEOUT_MS, now)) await this.#flushAndRetry(edge, now);
  }

  /** Tries again what did not arrive, in case no request follows. After two misses it goes to another site. */
  async #flushAndRetry(edge: ReporterContext, now: number): Promise<void> {
    await this.#flush(edge, now);
    for (let retry = 0; retry < MAX_MISSED && this.#undelivered.size > 0; retry++) {
      if (isPending(this.#waitingSince, INTERVAL_MS, edge.now())) return;
      await this.#wait(edge, INTERVAL_MS);
      if (isPending(this.#sendingSince, TIMEOUT_MS, edge.now())) return;
      await this.#flush(edge, edge.now());
    }
  }

  async #wait(edge: ReporterContext, ms: number): Promise<void> {
    this.#waitingSince = edge.now();
    await scheduler.wait(ms + 1);
    this.#waitingSince = null;
  }

  async #flush(edge: ReporterContext, now: number): Promise<void> {
    this.#startedAt = now;
    this.#sendingSince = now;
    const reports = this.#collect(edge, now);
    await Promise.all(reports.map((report) => this.#deliver(report, edge)));
    this.#sendingSince = null;
  }

  /** New reports for the sites within reach, and those that did not arrive before. */
  #collect(edge: ReporterContext, now: number): EdgeReport[] {
    const { counters, snapshots } = edge;
    const reachable = snapshots.sites.filter((site) => this.#isReachable(site, edge, now));
    for (const [site, report] of this.#undelivered) {
      if (reachable.includes(site) || reachable.length === 0) continue;
      counters.putBack(report);
      this.#undelivered.delete(site);
    }
    const sites = reachable
      .filter((site) => !this.#undelivered.has(site))
      .map((site) => ({ site, snapshot: snapshotInUse(site, edge, now) }));
    const waiting = new Set(reachable.filter((site) => this.#undelivered.has(site)));
    const again = [...this.#undelivered.values()].filter(({ site }) => reachable.includes(site));
    return [...again, ...(counters.isEmpty ? [] : counters.takeReports({ sites, waiting }, now))];
  }

  #isReachable(site: string, edge: ReporterContext, now: number): boolean {
    const missed = this.#missed.get(site);
    if (missed && missed.count >= MAX_MISSED && elapsedMs(missed.at, now) < RETRY_SITE_AFTER_MS) return false;
    return gatewayOf(site, edge, now) !== undefined;
  }

  async #deliver(report: EdgeReport, edge: ReporterContext): Promise<void> {
    const { site } = report;
    // Kept from the start: a request context that ends early must not lose it.
    this.#undelivered.set(site, report);
    const delivery = await send(report, edge);
    if (delivery === 'failed') {
      this.#missed.set(site, { count: (this.#missed.get(site)?.count ?? 0) + 1, at: edge.now() });
      return;
    }
    this.#missed.delete(site);
    this.#undelivered.delete(site);
  }
}

const isPending = (since: number | null, limitMs: number, now: number): boolean =>
  since !== null && elapsedMs(since, now) < limitMs + 1_000;

function snapshotInUse(site: string, { snapshots }: ReporterContext, now: number): EdgeReport['snapshot'] {
  const accepted = snapshots.forSite(site);
  if (!accepted) return null;
  const { epoch, seq, issuedAt } = accepted.snapshot;
  return { epoch, seq, ageMs: now - issuedAt, source: accepted.source };
}

function gatewayOf(site: string, { snapshots, gateways }: ReporterContext, now: number): string | undefined {
  return snapshots.forSite(site)?.snapshot.gateways.find((one) => gateways.isInUse(one, now));
}

async function send(report: EdgeReport, edge: ReporterContext): Promise<Delivery> {
  const token = await edge.gatewayTokens.tokenFor(report.site, edge.now());
  const gateway = gatewayOf(report.site, edge, edge.now());
  if (!gateway || token === null) return 'failed';
  try {
    const request = edge.upstreams.newRequest(`${gateway}/__acgs/edge-reports`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-acgs-edge': token },
      body: JSON.stringify(report),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const response = await edge.upstreams.fetch(report.site, request);
    await response.body?.cancel();
    if (response.ok) return 'delivered';
    return response.status === 400 || response.status === 413 ? 'refused' : 'failed';
  } catch {
    return 'failed';
  }
}
