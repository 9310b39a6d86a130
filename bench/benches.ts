import { benchAgent } from './agent.ts';
import { benchCli } from './cli.ts';
import { benchEdge } from './edge.ts';
import { benchEdgeToken } from './edge-token.ts';
import { benchGatewayConfig } from './gateway-config.ts';
import { benchHaproxy } from './haproxy.ts';
import { benchHaproxyRules } from './haproxy-rules.ts';
import { benchReport } from './history/report.ts';
import { benchHistory } from './history/series.ts';
import { benchEdgeFloor, benchInstructions } from './instructions.ts';
import { benchLargeBodies } from './large-bodies.ts';
import { benchGlobalLimit, benchMillionClients } from './limits.ts';
import type { BenchSection } from './page.ts';
import { benchPicks } from './picks.ts';
import { benchProbes } from './probes.ts';
import { benchProxies } from './proxies/bench.ts';
import { benchSlowUploads } from './slow-uploads.ts';
import { benchSnapshot } from './snapshot.ts';
import type { BenchTable } from './table.ts';

export interface Bench extends BenchSection {
  run(): Promise<BenchTable[]>;
}

/** All benchmarks, in the order of docs/performance.md. */
export const BENCHES: Readonly<Record<string, Bench>> = {
  proxies: {
    title: 'The whole path, compared with other proxies',
    about: `Every proxy has one thread and the same origin behind it, an nginx with one worker. acgs-lb runs
with every feature on: the edge in workerd, HAProxy with the shipped template. The other proxies
only forward, with connections kept open and no log. "Half load" is half of what the slowest of them
served in this run, the same rate for all; the added time is what a request takes longer than
directly at the origin in the same round.`,
    run: benchProxies,
  },
  'gateway-config': {
    title: "HAProxy with acgs-lb's configuration and with the guide's",
    about: `The same HAProxy, one thread, the same origin, with request logs and limits on both sides (limits
high enough to let the load pass). The [decision](decisions/gateway-cost.md) explains the difference.`,
    run: benchGatewayConfig,
  },
  'haproxy-rules': {
    title: 'Instructions of HAProxy',
    about: `Instructions that HAProxy executes per request, under callgrind, without the kernel: repeatable on a
busy machine. Our configuration is the one for the shipped acgs-lb.yaml; a log with two receivers,
where the guide's has one.`,
    run: benchHaproxyRules,
  },
  edge: {
    title: 'The edge compared with a pass-through Worker',
    about: `In one workerd, with one isolate thread. At half load all receive the same rate: half of what the
edge served through HAProxy.`,
    run: benchEdge,
  },
  instructions: {
    title: 'Instructions of the edge',
    about:
      'Instructions that workerd executes per request, under callgrind, without the kernel: repeatable on a busy\nmachine.',
    run: benchInstructions,
  },
  'edge-floor': {
    title: 'Lower bound of the cost of a Worker',
    about:
      'A Worker that passes a request on and does one thing more. Instructions, as above. E is the least that a request\nto a gateway needs.',
    run: benchEdgeFloor,
  },
  'edge-token': {
    title: 'The edge token in HAProxy',
    about:
      'A request without a token, with a token that was verified before, and with a verification for every request.',
    run: benchEdgeToken,
  },
  haproxy: {
    title: 'A thousand instances in HAProxy',
    about: '1,000 instances of 100 services, compared with a minimal file with the same checked servers.',
    run: benchHaproxy,
  },
  'global-limit': {
    title: 'A global limit',
    about: 'Leases, compared with one Durable Object call per request that counts in memory.',
    run: benchGlobalLimit,
  },
  'million-clients': {
    title: 'A million clients in one isolate',
    about: 'Each with its own limit, lease and cookie, in one window.',
    run: benchMillionClients,
  },
  'large-bodies': {
    title: 'Large bodies',
    about: '1 GiB up and 1 GiB down through the edge: memory of workerd.',
    run: benchLargeBodies,
  },
  'slow-uploads': {
    title: 'Slow uploads of snapshots',
    about:
      '200 clients without credentials each upload a snapshot of 2 MB and hold back the last byte. The edge closes all of\nthem.',
    run: benchSlowUploads,
  },
  picks: {
    title: 'Picking an instance',
    about: 'Each strategy, compared with `random`. `consistent_hash` is also compared with a scan.',
    run: benchPicks,
  },
  snapshot: {
    title: 'A snapshot of 1,000 instances',
    about: 'The processor time until an isolate can route with it.',
    run: benchSnapshot,
  },
  agent: {
    title: 'The agent',
    about: `The whole agent as a process of its own with Postgres, and an HTTP server for every instance. Each
instance is probed every 4 s, 10,000 of them 2,500 times a second. Lateness is the time from the
moment when a probe was due to the moment when the agent started it.`,
    run: benchAgent,
  },
  probes: {
    title: 'Probing',
    about:
      'Probes with their judgement, compared with a loop that only sends the same request; then a fleet of 5,000\ninstances, each probed every 2 s.',
    run: benchProbes,
  },
  history: {
    title: 'History',
    about: '`GET /v1/history` without HTTP, on 30 days of 100 instances.',
    run: benchHistory,
  },
  report: {
    title: 'Reports',
    about: 'Raw rows of 14 instances every 10 s for 3 days, and the report on them.',
    run: benchReport,
  },
  cli: {
    title: 'The command',
    about: '`acgs-lb status` from start to exit, compared with the start of Node without a program.',
    run: benchCli,
  },
};
