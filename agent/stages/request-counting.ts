import type { Config } from '../../shared/config/config.ts';
import type { Environment } from '../core/environment.ts';
import type { RequestDelta } from '../core/requests.ts';
import { MAX_LATENESS_MS } from '../core/traffic-window.ts';
import { createEdgeReportReader } from '../edge/reports.ts';
import { type ReportId, startRequestSharing } from '../edge/share-requests.ts';
import { createMessageSigner } from '../lib/message-signer.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Setup } from './setup.ts';
import type { Stores } from './stores.ts';

/** Requests that another agent shared are ignored above this age. */
const MAX_SHARED_AGE_MS = 10_000;

/** Requests as clients saw them, from the edge's reports and HAProxy's log, and from the other agents of the site. */
export function createRequestCounting(
  { config, env, log }: Pick<Setup, 'config' | 'env' | 'log'>,
  { live, owner, window }: Stores,
  metrics: Metrics,
) {
  const reportReader = createEdgeReportReader(config);
  const sharing = sharesIntents(config(), env)
    ? startRequestSharing({
        live,
        signer: createMessageSigner(env.intentKeys, MAX_SHARED_AGE_MS),
        site: config().site.id,
        owner,
        onRequests(deltas) {
          // The clock of another agent may differ.
          const now = Date.now();
          for (const delta of deltas) {
            const at = Math.min(Math.max(delta.at, now - MAX_LATENESS_MS), now);
            window.addRequests({ ...delta, at }, true);
          }
        },
        onReport: (report) => void reportReader.markRead(report),
        log,
      })
    : null;
  return {
    reportReader,
    requestSharing: sharing,
    countRequests(deltas: readonly RequestDelta[], report?: ReportId): void {
      for (const delta of deltas) {
        window.addRequests(delta);
        metrics.requests(delta);
      }
      sharing?.share(deltas, report);
    },
  };
}

/** Whether intents come from Redis. A single agent ignores Redis; `haproxy.others` means that another agent may exist. */
export const sharesIntents = ({ site, haproxy }: Config, { intentKeys }: Environment): boolean =>
  (site.agents > 1 || haproxy.others.length > 0) && intentKeys.length > 0;
