import type { EdgeReport } from '../../shared/edge-report.ts';
import { elapsedMs } from '../../shared/elapsed.ts';
import type { EdgeCounters } from '../counters.ts';
import type { Gateways } from '../gateways.ts';
import type { GatewayTokens } from './gateway-tokens.ts';
import type { SnapshotStore } from './snapshot-store.ts';

const INTERVAL_MS = 10_000;
const TIMEOUT_MS = 5_000;

interface ReporterContext {
  readonly counters: EdgeCounters;
  readonly gateways: Gateways;
  readonly snapshots: SnapshotStore;
  readonly gatewayTokens: GatewayTokens;
  readonly settings: { readonly sites: readonly string[] };
  readonly now: () => number;
}

/** Sends the counters to each site's agent through its gateway. A report that fails is dropped. */
export class Reporter {
  /** When the pending report was started; 0: none is pending. */
  #pendingSince = 0;

  /** Call at the end of each request. Sends a report in the background once per interval. */
  flushIfDue(edge: ReporterContext, ctx: ExecutionContext): void {
    const now = edge.now();
    if (elapsedMs(edge.counters.since, now) < INTERVAL_MS || edge.counters.isEmpty) return;
    if (elapsedMs(this.#pendingSince, now) < TIMEOUT_MS) return;
    this.#pendingSince = now;
    const sites = edge.settings.sites.map((site) => {
      const accepted = edge.snapshots.forSite(site);
      if (!accepted) return { site, snapshot: null };
      const { epoch, seq, issuedAt } = accepted.snapshot;
      return { site, snapshot: { epoch, seq, ageMs: now - issuedAt, source: accepted.source } };
    });
    const reports = edge.counters.takeReports(sites, now);
    const sending = Promise.all(reports.map((report) => send(report, edge)));
    ctx.waitUntil(
      sending.finally(() => {
        this.#pendingSince = 0;
      }),
    );
  }
}

async function send(report: EdgeReport, edge: ReporterContext): Promise<void> {
  const gateways = edge.snapshots.forSite(report.site)?.snapshot.gateways ?? [];
  const token = await edge.gatewayTokens.tokenFor(report.site, edge.now());
  const gateway = gateways.find((one) => edge.gateways.isInUse(one, edge.now()));
  if (!gateway || token === null) return;
  try {
    const response = await fetch(`${gateway}/__acgs/edge-reports`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-acgs-edge': token },
      body: JSON.stringify(report),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
  } catch {
    // The next report has newer numbers.
  }
}
