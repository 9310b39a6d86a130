import { z } from 'zod';
import { errorMessage } from '../../shared/error-message.ts';
import type { RequestDelta } from '../core/requests.ts';
import type { Log } from '../lib/log.ts';
import type { MessageSigner } from '../lib/message-signer.ts';
import type { LiveState } from '../live/live-state.ts';

/**
 * Shows the requests that one agent of a site received to the others, so that the leader's alerts and every dashboard see
 * all of them. Each agent writes only its own to history and metrics. While the store is unavailable, only the views of
 * the other agents miss requests.
 */
export interface RequestSharing {
  /** `report`: the edge report that had them. */
  share(deltas: readonly RequestDelta[], report?: ReportId): void;
  close(): void;
}

export interface ReportId {
  isolate: string;
  seq: number;
}

export interface RequestSharingOptions {
  live: Pick<LiveState, 'publish' | 'subscribe'>;
  /** Proves that an agent of the site wrote an event: others can write to the store. */
  signer: MessageSigner;
  site: string;
  /** Unique among the agents of the site. */
  owner: string;
  /** Requests that another agent received. */
  onRequests(deltas: RequestDelta[]): void;
  /** A report that another agent has read: the edge may send it here again. */
  onReport(report: ReportId): void;
  log: Log;
  /** Epoch milliseconds. */
  now?: () => number;
}

const count = z.number().nonnegative();
const eventSchema = z.object({
  kind: z.literal('requests'),
  site: z.string(),
  owner: z.string(),
  /** JSON, as it was signed. */
  body: z.string(),
  signature: z.string(),
});
const bodySchema = z.object({
  reports: z.array(z.object({ isolate: z.string(), seq: count })),
  deltas: z.array(
    z.object({
      source: z.enum(['edge', 'gateway']),
      service: z.string(),
      at: z.number(),
      statuses: z.object({ '2xx': count, '3xx': count, '4xx': count, '5xx': count }),
      retries: count,
      hedges: count,
      limited: count,
      latency: z.object({ count, sum: count, max: count, buckets: z.record(z.string(), count) }),
    }),
  ),
});

const SHARE_MS = 1_000;
/** While the store is unavailable, older deltas are dropped. */
const MAX_WAITING = 10_000;

export function startRequestSharing(options: RequestSharingOptions): RequestSharing {
  const { live, signer, site, owner, onRequests, onReport, log, now = Date.now } = options;
  let deltas: RequestDelta[] = [];
  let reports: ReportId[] = [];
  /** When the newest event of each agent was signed: an older one is a repetition. */
  const newest = new Map<string, number>();

  const unsubscribe = live.subscribe((event) => {
    const parsed = eventSchema.safeParse(event);
    if (!parsed.success || parsed.data.site !== site || parsed.data.owner === owner) return;
    const { owner: sender, body, signature } = parsed.data;
    const signedAt = signer.verify([site, sender, body], signature, now());
    if (signedAt === null || signedAt <= (newest.get(sender) ?? 0)) return;
    newest.set(sender, signedAt);
    const content = readBody(body);
    if (!content) return;
    for (const report of content.reports) onReport(report);
    onRequests(content.deltas);
  });

  /** Receivers ignore what is not newer than the last event, so these instants never go back, whatever the clock does. */
  let lastSignedAt = 0;

  const timer = setInterval(() => {
    if (deltas.length === 0) return;
    const body = JSON.stringify({ reports, deltas });
    lastSignedAt = Math.max(now(), lastSignedAt + 1);
    const signature = signer.sign([site, owner, body], lastSignedAt);
    const event = { kind: 'requests', site, owner, body, signature };
    deltas = [];
    reports = [];
    live
      .publish(event)
      .catch((error: unknown) =>
        log.debug({ error: errorMessage(error) }, 'requests not shared with the other agents'),
      );
  }, SHARE_MS);
  timer.unref();

  return {
    share(more, report) {
      deltas = [...deltas, ...more].slice(-MAX_WAITING);
      if (report) reports = [...reports, { isolate: report.isolate, seq: report.seq }].slice(-MAX_WAITING);
    },
    close() {
      clearInterval(timer);
      unsubscribe();
    },
  };
}

/** Null if the body has an unknown form, because an agent of another version signed it. */
function readBody(text: string): z.output<typeof bodySchema> | null {
  try {
    return bodySchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
