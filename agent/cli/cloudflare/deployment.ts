import type { Finding } from '../doctor/finding.ts';
import type { CloudflareApi } from './api.ts';

/** The edge that the operator wants on Cloudflare. */
export interface EdgeDeployment {
  accountId: string;
  /** Null: the zone that contains the host. */
  zoneName: string | null;
  host: string;
  site: string;
  /** FALLBACK_ORIGIN. */
  gateway: string;
  worker: string;
  keysFolder: string;
  /** A custom domain, or a route in front of an existing DNS record. */
  attachment: 'domain' | 'route';
  /** What a route does past the account's limit: send requests to the origin, or answer with an error. */
  whenLimited: 'open' | 'closed';
  /** A Workers VPC service through which the Worker reaches the gateways of the site. */
  vpcService: string | null;
}

export interface DeployDeps {
  api: CloudflareApi;
  env: NodeJS.ProcessEnv;
  programDir: string;
  /** For the requests to the deployed edge. */
  fetch: typeof globalThis.fetch;
  wait: (ms: number) => Promise<void>;
  /** Called for each finding, at once. */
  onFinding: (finding: Finding) => void;
  /** Shows which step runs. */
  report: (step: string) => void;
}
