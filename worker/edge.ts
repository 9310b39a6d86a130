import { ClockGuard } from './clock-guard.ts';
import { EdgeCounters } from './counters.ts';
import type { Env } from './env.ts';
import { FallbackLimit } from './fallback-limit.ts';
import { Gateways } from './gateways.ts';
import { Hedging } from './hedging.ts';
import { AdminLimits } from './io/admin-limits.ts';
import { AffinityCookies } from './io/affinity-cookie.ts';
import { GatewayTokens } from './io/gateway-tokens.ts';
import { InFlightTracker } from './io/in-flight.ts';
import { LimitLeases, type RequestLease } from './io/limit-leases.ts';
import { Limiters } from './io/limiters.ts';
import { Reporter } from './io/reporter.ts';
import { EdgeRequestLog } from './io/request-log.ts';
import { SlowUploads } from './io/slow-uploads.ts';
import { StaleCache } from './io/stale-cache.ts';
import { TraceIds } from './io/trace-ids.ts';
import { Upstreams } from './io/upstreams.ts';
import { RetryBudgets } from './retry-budgets.ts';
import { type EdgeSettings, readSettings } from './settings.ts';
import { withColoCache } from './snapshots/colo-cache.ts';
import { disabledHubFetcher, hubFetcher, kvFetcher } from './snapshots/fetchers.ts';
import { PollSchedule } from './snapshots/poll-schedule.ts';
import { SnapshotRefresher } from './snapshots/refresher.ts';
import { SnapshotStore } from './snapshots/store.ts';
import { SnapshotUploads } from './snapshots/uploads.ts';
import { Throttles } from './throttles.ts';
import { timingSafeEqual } from './timing-safe-equal.ts';

/** What all requests of an isolate share. */
export interface Edge {
  readonly env: Env;
  readonly settings: EdgeSettings;
  readonly snapshots: SnapshotStore;
  readonly polls: PollSchedule;
  readonly refresher: SnapshotRefresher;
  readonly snapshotUploads: SnapshotUploads;
  readonly gatewayTokens: GatewayTokens;
  readonly affinityCookies: AffinityCookies;
  readonly limiters: Limiters;
  readonly gateways: Gateways;
  readonly upstreams: Upstreams;
  readonly fallbackLimit: FallbackLimit;
  readonly clockGuard: ClockGuard;
  readonly inFlight: InFlightTracker;
  readonly slowUploads: SlowUploads;
  readonly retryBudgets: RetryBudgets;
  readonly hedging: Hedging;
  readonly counters: EdgeCounters;
  readonly leases: LimitLeases;
  readonly throttles: Throttles;
  readonly staleCache: StaleCache;
  readonly reporter: Reporter;
  readonly requestLog: EdgeRequestLog;
  readonly now: () => number;
  readonly random: () => number;
  readonly newRequestId: () => string;
  readonly traceIds: TraceIds;
  readonly adminLimits: AdminLimits;
  /** `client` is the key for limits. */
  readonly isExplainAuthorized: (token: string | null, client: string) => boolean;
  /** The Cloudflare location (colo) and country of the client; empty outside Cloudflare. */
  readonly locationOf: (request: Request) => readonly string[];
}

export async function createEdge(env: Env): Promise<Edge> {
  const settings = await readSettings(env);
  const now = (): number => Date.now();
  const { edgeToken } = settings;
  const adminLimits = new AdminLimits();
  const isolate = crypto.randomUUID().slice(0, 18);
  let requests = 0;
  const polls = new PollSchedule();
  const view = { newPickerState, directOrigin: directOrigin(settings) };
  const snapshots = new SnapshotStore({ settings, polls, view });
  const refresher = new SnapshotRefresher({
    store: snapshots,
    polls,
    hub: settings.kvOnly ? disabledHubFetcher : withColoCache(hubFetcher(env)),
    kv: kvFetcher(env),
    now,
    random: Math.random,
  });
  return {
    env,
    settings,
    now,
    random: Math.random,
    snapshots,
    polls,
    refresher,
    snapshotUploads: new SnapshotUploads(),
    gatewayTokens: new GatewayTokens(settings.gatewayKey),
    affinityCookies: new AffinityCookies(settings.cookieKeys),
    limiters: new Limiters(() => snapshots.view),
    gateways: new Gateways(),
    upstreams: new Upstreams(env, settings),
    fallbackLimit: new FallbackLimit(settings.fallbackLimit),
    clockGuard: new ClockGuard(),
    inFlight: new InFlightTracker(),
    slowUploads: new SlowUploads(settings.maxSlowUploads),
    retryBudgets: new RetryBudgets(),
    hedging: new Hedging(),
    counters: new EdgeCounters(isolate, now()),
    leases: new LimitLeases(leaseRequester(env), isolate),
    throttles: new Throttles(),
    staleCache: new StaleCache(),
    reporter: new Reporter(),
    requestLog: new EdgeRequestLog(settings.logSample, Math.random),
    newRequestId: () => `${isolate}-${(requests++).toString(36)}`,
    traceIds: new TraceIds(),
    adminLimits,
    isExplainAuthorized(token, client) {
      if (token === null || edgeToken === null || adminLimits.credentialWait(client, now()) > 0) return false;
      const valid = timingSafeEqual(token, edgeToken);
      if (!valid) adminLimits.recordFailure(client, now());
      return valid;
    },
    locationOf: ({ cf }) => (cf ? [String(cf.colo), String(cf.country)] : []),
  };
}

const leaseRequester =
  (env: Env): RequestLease =>
  async (name, request) =>
    env.LIMITER.getByName(name).lease(request);

/** Each isolate starts its round robin at another instance. */
const newPickerState = () => ({ cursor: Math.floor(Math.random() * 1024) });

const IP_HOST = /^https?:\/\/(\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\])(:\d+)?$/;

/** On Cloudflare a Worker cannot fetch a raw IP address: such an instance is reached only through its gateway. */
function directOrigin(settings: EdgeSettings) {
  const isOnCloudflare = settings.clientAddressSource === 'cloudflare';
  return (instance: { url: string; publicUrl?: string }): string | null => {
    const origin = instance.publicUrl ?? instance.url;
    return isOnCloudflare && IP_HOST.test(origin) ? null : origin;
  };
}
