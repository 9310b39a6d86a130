import type { Limiter } from './limiter.ts';
import type { SnapshotHub } from './snapshot-hub.ts';

/** Bindings, variables and secrets, from wrangler.toml and `wrangler secret put`. */
export interface Env {
  /** Absent in a self-hosted edge, whose Hub is on local disk. */
  SNAPSHOTS?: KVNamespace;
  SNAPSHOT_HUB: DurableObjectNamespace<SnapshotHub>;
  LIMITER: DurableObjectNamespace<Limiter>;
  SITES?: string;
  SNAPSHOT_PUBLIC_KEYS?: string;
  FALLBACK_ORIGIN?: string;
  COOKIE_KEYS?: string;
  GATEWAY_JWT_KEY?: string;
  EDGE_TOKEN?: string;
  CLIENT_ADDRESS_FROM?: string;
  SIMULATE_CLIENTS?: string;
  SNAPSHOT_LANES?: string;
  LOG_SAMPLE?: string;
  MAX_HEADER_BYTES?: string;
  MAX_SLOW_UPLOADS?: string;
  FALLBACK_LIMIT?: string;
}
