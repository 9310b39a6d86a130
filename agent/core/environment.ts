/** Secrets and addresses from environment variables. A variable that is not set is undefined. */
export interface Environment {
  production: boolean;
  redisUrl?: string;
  databaseUrl?: string;
  statsUser: string;
  statsPassword: string;
  token?: string;
  signingKey?: string;
  edgeJwtPublicKeys: string;
  edgeToken?: string;
  cloudflare?: CloudflareAccess;
  smtpUrl?: string;
  slackWebhookUrl?: string;
}

export interface CloudflareAccess {
  apiToken: string;
  accountId: string;
  namespaceId: string;
  apiUrl: string;
}
