import { claimedOrder } from '../shared/snapshot/seal.ts';
import { Throttle } from '../shared/throttle.ts';
import { Clock } from './clock.ts';
import { Counters } from './counters.ts';
import type { Env } from './env.ts';
import { Gateways } from './gateways.ts';
import { AffinityCookies } from './io/affinity-cookie.ts';
import { throughColoCache } from './io/colo-cache.ts';
import { GatewayTokens } from './io/gateway-token.ts';
import { InFlight } from './io/in-flight.ts';
import { type AskLimiter, Leases } from './io/leases.ts';
import { Limiters } from './io/limiters.ts';
import { RequestLog } from './io/log.ts';
import { NativeLimits } from './io/native-limits.ts';
import { Reporter } from './io/reporter.ts';
import { hubSource, kvSource, noHub } from './io/snapshot-sources.ts';
import { SnapshotStore } from './io/snapshots.ts';
import { StaleAnswers } from './io/stale-answers.ts';
import { RetryBudgets } from './retry-budgets.ts';
import { isSameSecret } from './same-secret.ts';
import { readSettings, type Settings } from './settings.ts';

/** Everything a request needs that outlives it: made from the environment once per isolate. */
export interface Edge {
  readonly env: Env;
  readonly settings: Settings;
  readonly snapshots: SnapshotStore;
  readonly tokens: GatewayTokens;
  readonly cookies: AffinityCookies;
  readonly limiters: Limiters;
  readonly gateways: Gateways;
  readonly clock: Clock;
  readonly inFlight: InFlight;
  readonly budgets: RetryBudgets;
  readonly counters: Counters;
  readonly leases: Leases;
  readonly native: NativeLimits;
  readonly throttle: Throttle;
  readonly stale: StaleAnswers;
  readonly reporter: Reporter;
  readonly log: RequestLog;
  readonly now: () => number;
  readonly random: () => number;
  readonly newRequestId: () => string;
  readonly mayExplain: (token: string | null) => boolean;
  /** Colo and country a request came in at; empty off Cloudflare. */
  readonly placeOf: (request: Request) => readonly string[];
}

export async function createEdge(env: Env): Promise<Edge> {
  const settings = await readSettings(env);
  const now = (): number => Date.now();
  const { edgeToken } = settings;
  const isolate = crypto.randomUUID().slice(0, 18);
  let requests = 0;
  const snapshots = new SnapshotStore({
    settings,
    now,
    hub: settings.kvOnly ? noHub : throughColoCache(hubSource(env), claimedOrder),
    kv: kvSource(env),
    view: { newCursor, directOrigin: directOrigin(settings) },
  });
  return {
    env,
    settings,
    now,
    random: Math.random,
    snapshots,
    tokens: new GatewayTokens(settings.gatewayKey),
    cookies: new AffinityCookies(settings.cookieKeys),
    limiters: new Limiters(() => snapshots.view),
    gateways: new Gateways(),
    clock: new Clock(),
    inFlight: new InFlight(),
    budgets: new RetryBudgets(),
    counters: new Counters(isolate, now()),
    leases: new Leases(askLimiter(env), isolate),
    native: new NativeLimits(env),
    throttle: new Throttle(),
    stale: new StaleAnswers(),
    reporter: new Reporter(),
    log: new RequestLog(settings.logSample),
    newRequestId: () => `${isolate}-${(requests++).toString(36)}`,
    mayExplain: (token) => token !== null && edgeToken !== null && isSameSecret(token, edgeToken),
    placeOf: ({ cf }) => (cf ? [String(cf.colo), String(cf.country)] : []),
  };
}

const askLimiter =
  (env: Env): AskLimiter =>
  async (name, request) =>
    env.LIMITER.getByName(name).lease(request);

/** Isolates start their rounds at different instances. */
const newCursor = () => ({ cursor: Math.floor(Math.random() * 1024) });

const IP_HOST = /^https?:\/\/(\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\])(:\d+)?$/;

/** Cloudflare refuses to fetch a raw address: an instance that has no name is reached through its gateway only. */
function directOrigin(settings: Settings) {
  const deployed = settings.addressFrom === 'cloudflare';
  return (instance: { url: string; publicUrl?: string }): string | null => {
    const origin = instance.publicUrl ?? instance.url;
    return deployed && IP_HOST.test(origin) ? null : origin;
  };
}
