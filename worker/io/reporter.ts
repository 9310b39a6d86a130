import type { EdgeReport } from '../../shared/edge-report.ts';
import type { EdgeCounters } from '../counters.ts';
import type { Gateways } from '../gateways.ts';
import type { GatewayTokens } from './gateway-tokens.ts';
import type { SnapshotStore } from './snapshot-store.ts';

const EVERY_MS = 10_000;
const TIMEOUT_MS = 5_000;

/** What it needs of the edge. */
interface ReporterContext {
  readonly counters: EdgeCounters;
  readonly gateways: Gateways;
  readonly snapshots: SnapshotStore;
  readonly gatewayTokens: GatewayTokens;
  readonly settings: { readonly sites: readonly string[] };
  readonly now: () => number;
}

/** Sends what was counted to the agents, by way of their gateways. A report that does not arrive is dropped. */
export class Reporter {
  /** When a report was begun that has not ended; 0: none. */
  #sentAt = 0;

  /** To be called at the end of a request; the report rides along with one request in ten seconds. */
  flushIfDue(edge: ReporterContext, ctx: ExecutionContext): void {
    const now = edge.now();
    // Either way: a clock that was set back must not hold them up.
    if (Math.abs(now - edge.counters.since) < EVERY_MS || edge.counters.isEmpty) return;
    // A gateway that does not answer holds up one report, not a row of them.
    if (Math.abs(now - this.#sentAt) < TIMEOUT_MS) return;
    this.#sentAt = now;
    const sites = edge.settings.sites.map((site) => {
      const held = edge.snapshots.forSite(site);
      if (!held) return { site, snapshot: null };
      const { epoch, seq, issuedAt } = held.snapshot;
      return { site, snapshot: { epoch, seq, ageMs: now - issuedAt, source: held.lane } };
    });
    const reports = edge.counters.takeReports(sites, now);
    ctx.waitUntil(
      Promise.all(reports.map((report) => send(report, edge))).finally(() => {
        this.#sentAt = 0;
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
    const answer = await fetch(`${gateway}/__acgs/edge-reports`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-acgs-edge': token },
      body: JSON.stringify(report),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await answer.body?.cancel();
  } catch {
    // Evidence is welcome, not owed: the next report tells what happens from now on.
  }
}
