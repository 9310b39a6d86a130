import { DurableObject } from 'cloudflare:workers';
import { compileRateLimit } from '../../shared/limits/policy.ts';
import { EdgeCounters } from '../../worker/counters.ts';
import type { Env } from '../../worker/env.ts';
import edge, { Limiter, SnapshotHub } from '../../worker/index.ts';
import { AffinityCookies } from '../../worker/io/affinity-cookie.ts';
import { LimitLeases } from '../../worker/io/limit-leases.ts';
import { Limiters } from '../../worker/io/limiters.ts';

export { Limiter, SnapshotHub };

/**
 * The deployed edge with additional endpoints for the limit benchmarks: one Durable Object call per request in front of
 * the edge, the decisions of both methods alone, and a million clients.
 */

/** The usual method at its lowest cost: counts in memory and stores nothing. */
export class CallPerRequest extends DurableObject {
  #window = 0;
  #count = 0;

  async take(limit: number, windowMs: number): Promise<boolean> {
    const window = Math.floor(Date.now() / windowMs);
    if (window !== this.#window) [this.#window, this.#count] = [window, 0];
    if (this.#count >= limit) return false;
    this.#count++;
    return true;
  }
}

interface BenchEnv extends Env {
  PER_REQUEST: DurableObjectNamespace<CallPerRequest>;
}

const POLICY = compileRateLimit({
  name: 'bench',
  key: 'global',
  limit: 1e7,
  window: 10_000,
  scope: 'global',
});
const PER_CLIENT = compileRateLimit({ name: 'client', key: 'ip', limit: 20, window: 10_000, scope: 'edge' });

export default {
  async fetch(request, env, ctx): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const count = Number(searchParams.get('count'));
    switch (pathname) {
      case '/per-request': {
        const allowed = await env.PER_REQUEST.getByName('*').take(POLICY.limit, POLICY.windowMs);
        return allowed ? edge.fetch(request, env, ctx) : new Response(null, { status: 429 });
      }
      case '/bare/leases':
        return Response.json(await bareLeases(count, env, ctx));
      case '/bare/per-request':
        return Response.json(await bareCalls(count, env));
      case '/clients':
        return Response.json(await clients(Number(searchParams.get('from')), count));
      default:
        return edge.fetch(request, env, ctx);
    }
  },
} satisfies ExportedHandler<BenchEnv>;

interface Rate {
  decisions: number;
  ms: number;
}

/** Like the edge: counts in the isolate, then takes from the lease, and waits for a new lease when there is none. */
async function bareLeases(count: number, env: BenchEnv, ctx: ExecutionContext): Promise<Rate> {
  const limiters = new Limiters(() => null);
  const leases = new LimitLeases(
    async (name, request) => env.LIMITER.getByName(name).lease(request),
    'bench',
  );
  const lease = { service: 'bench', policy: POLICY, key: '*' };
  const began = Date.now();
  for (let i = 0; i < count; i++) {
    const now = Date.now();
    const decision = leases.take(lease, POLICY.limit, now, ctx);
    if (decision instanceof Promise) await decision;
    limiters.forPolicy('bench', POLICY).take('*', POLICY.limit, 1, now);
  }
  return { decisions: count, ms: Date.now() - began };
}

/** 32 at a time, the number of connections of the proxied rows. */
async function bareCalls(count: number, env: BenchEnv): Promise<Rate> {
  const stub = env.PER_REQUEST.getByName('*');
  const began = Date.now();
  let left = count;
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      while (left-- > 0) await stub.take(POLICY.limit, POLICY.windowMs);
    }),
  );
  return { decisions: count, ms: Date.now() - began };
}

const limiters = new Limiters(() => null);
/** Objects that always grant: what is measured is what an isolate keeps. */
const granting = new LimitLeases(async () => ({ units: 1, forMs: 1_000, remaining: 9 }), 'bench');
const cookies = new AffinityCookies([]);
const counters = new EdgeCounters('bench', 0);

/** Clients with their own address and a forged cookie, all within one window, so that none is idle. */
async function clients(from: number, count: number): Promise<Rate> {
  const began = Date.now();
  const now = 1_800_000_000_000;
  const ctx = { waitUntil() {} };
  for (let client = from; client < from + count; client++) {
    const key = `10.${client >> 16}.${(client >> 8) & 255}.${client & 255}`;
    counters.countLimitDecision(
      'gs',
      PER_CLIENT,
      limiters.forPolicy('gs', PER_CLIENT).take(key, 20, 1, now).allowed,
    );
    await granting.take({ service: 'gs', policy: PER_CLIENT, key }, 20, now, ctx);
    await cookies.open(`acgs_affinity=x.${key}`, now);
  }
  return { decisions: count, ms: Date.now() - began };
}
