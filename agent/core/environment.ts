import type { ApiToken } from './api-token.ts';

/** Secrets and addresses from environment variables. A variable that is not set is undefined. */
export interface Environment {
  production: boolean;
  redisUrl?: string;
  databaseUrl?: string;
  statsUser: string;
  statsPassword: string;
  /** ACGS_TOKEN, named `admin`, and ACGS_TOKENS. */
  tokens: readonly ApiToken[];
  /** INTENT_KEY: signs what the agents of a site exchange through Redis. */
  intentKeys: readonly string[];
  signingKey?: string;
  edgeJwtPublicKeys: string;
  edgeToken?: string;
  cloudflare?: CloudflareAccess;
  smtpUrl?: string;
  slackWebhookUrl?: string;
  /** The value of a variable that the configuration names as `${NAME}`; undefined if it is not set or empty. */
  variable(name: string): string | undefined;
}

export interface CloudflareAccess {
  apiToken: string;
  accountId: string;
  namespaceId: string;
  apiUrl: string;
}
