/// <reference path="./wrangler-env.d.ts" />

/**
 * Bindings, variables and secrets. wrangler derives their types from wrangler.toml and .dev.vars.example (`npm run types`);
 * at run time every variable may be missing.
 */
export interface Env
  extends Partial<Omit<Cloudflare.Env, 'SNAPSHOT_HUB' | 'LIMITER'>>,
    Pick<Cloudflare.Env, 'SNAPSHOT_HUB' | 'LIMITER'> {
  /** Only in the local stack. */
  SIMULATE_CLIENTS?: string;
  SNAPSHOT_LANES?: string;
  /** Workers VPC bindings, one for each site whose gateways are in a private network. */
  [vpc: `VPC_${string}`]: Fetcher | undefined;
}
