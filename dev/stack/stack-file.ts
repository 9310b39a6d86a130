import { type DerivedConfig, type DeriveOptions, loopback } from '../../agent/cli/local-stack.ts';
import type { StackSecrets } from './secrets.ts';
import type { StoreUrls } from './services.ts';

/** `<state-dir>/stack.json`, by which scripts and the CLI find the running stack. Its keys are a contract. */
export interface StackFile {
  edge: string;
  gateway: string | null;
  haproxyStats: string | null;
  haproxyStatsAuth: string | null;
  haproxySocket: string | null;
  agent: string;
  redis: string | null;
  postgres: string | null;
  adminToken: string;
  edgeToken: string;
  instances: { id: string; service: string; url: string; pid: number | null }[];
  pids: {
    agent: number | null;
    edge: number | null;
    haproxy: number | null;
    redis: number | null;
    postgres: number | null;
  };
  /** How the stack derived its configuration from the operator's file; `acgs-lb apply` does the same. */
  derivation: DeriveOptions;
  /** ISO 8601. */
  readyAt: string;
}

export interface StackFileInput {
  derived: DerivedConfig;
  derivation: DeriveOptions;
  secrets: StackSecrets;
  urls: StoreUrls;
  /** All configured instances. Those that the stack did not start have no pid. */
  instances: { id: string; service: string; url: string }[];
  haproxy: boolean;
  readyAt: Date;
  pid(name: string): number | null;
}

export function buildStackFile({
  derived,
  derivation,
  secrets,
  urls,
  instances,
  haproxy,
  readyAt,
  pid,
}: StackFileInput): StackFile {
  const { config } = derived;
  return {
    edge: `http://127.0.0.1:${derived.edge.port}`,
    gateway: haproxy ? (config.site.gateways[0] ?? null) : null,
    haproxyStats: haproxy ? `http://${loopback(config.haproxy.stats)}/stats` : null,
    haproxyStatsAuth: haproxy ? `${secrets.HAPROXY_STATS_USER}:${secrets.HAPROXY_STATS_PASSWORD}` : null,
    haproxySocket: haproxy ? config.haproxy.socket : null,
    agent: `http://${loopback(config.agent.bind)}`,
    redis: urls.redis,
    postgres: urls.postgres,
    adminToken: secrets.ACGS_TOKEN,
    edgeToken: secrets.EDGE_TOKEN,
    instances: instances.map(({ id, service, url }) => ({ id, service, url, pid: pid(id) })),
    pids: {
      agent: pid('agent'),
      edge: pid('edge'),
      haproxy: pid('haproxy'),
      redis: pid('redis'),
      postgres: pid('postgres'),
    },
    derivation,
    readyAt: readyAt.toISOString(),
  };
}
