import type { Config } from '../shared/config/config.ts';
import { parseEncodedKey, parseKeyList } from '../shared/snapshot/keys.ts';
import { parsePostgresUrl } from './history/sql/postgres-url.ts';
import { parseRedisUrl } from './live/redis-url.ts';

/** Secrets and addresses: from the environment alone, never from the file. Unset is undefined. */
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
  cloudflare?: { apiToken: string; accountId: string; namespaceId: string; apiUrl: string };
  smtpUrl?: string;
  slackWebhookUrl?: string;
}

/** The environment cannot be used; `problems` holds every mistake. No value of a secret is ever in it. */
export class EnvironmentError extends Error {
  override name = 'EnvironmentError';
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

const SECRETS = [
  'REDIS_URL',
  'DATABASE_URL',
  'HAPROXY_STATS_PASSWORD',
  'ACGS_TOKEN',
  'SNAPSHOT_SIGNING_KEY',
  'EDGE_JWT_PUBLIC_KEYS',
  'EDGE_TOKEN',
  'CF_API_TOKEN',
  'SMTP_URL',
  'SLACK_WEBHOOK_URL',
] as const;

/** What documentation and .env.example show; a production agent that still has one is open to anyone who reads them. */
const SAMPLE_VALUE = /change[-_ ]?me|secure_password|your[-_]|example\.|sample|placeholder|<[^>]*>/i;
const WEAK_VALUES = new Set([
  'admin',
  'password',
  'secret',
  'acgs',
  'acgs_lb',
  'test',
  'token',
  'user',
  '123456',
]);

type Variables = { readonly [name: string]: string | undefined };

/** Reads the environment the agent runs with. Throws EnvironmentError with all problems at once. */
export function readEnvironment(variables: Variables, config: Config): Environment {
  const get = (name: string): string | undefined => variables[name]?.trim() || undefined;
  const problems: string[] = [];
  const attempt = (read: () => unknown) => {
    try {
      read();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  };

  const name = get('ENVIRONMENT') ?? 'development';
  const production = name === 'production';
  if (!['production', 'staging', 'development', 'test'].includes(name)) {
    problems.push(
      `ENVIRONMENT: ${JSON.stringify(name)} is not allowed; expected production, staging, development or test`,
    );
  }
  const redisUrl = get('REDIS_URL');
  if (redisUrl) attempt(() => parseRedisUrl(redisUrl));
  const databaseUrl = get('DATABASE_URL');
  if (databaseUrl) attempt(() => parsePostgresUrl(databaseUrl));
  checkUrl('SMTP_URL', ['smtp:', 'smtps:']);
  checkUrl('SLACK_WEBHOOK_URL', ['https:', 'http:']);
  const signingKey = get('SNAPSHOT_SIGNING_KEY');
  if (signingKey) attempt(() => parseEncodedKey('SNAPSHOT_SIGNING_KEY', signingKey));
  const edgeJwtPublicKeys = get('EDGE_JWT_PUBLIC_KEYS') ?? '';
  attempt(() => parseKeyList('EDGE_JWT_PUBLIC_KEYS', edgeJwtPublicKeys));

  const { publish, url } = config.edge;
  if (publish.ingest && url && !signingKey)
    missing('SNAPSHOT_SIGNING_KEY', 'edge.publish.ingest needs it to sign the snapshot');
  if (publish.kvApi) {
    if (!signingKey) missing('SNAPSHOT_SIGNING_KEY', 'edge.publish.kvApi needs it to sign the snapshot');
    for (const variable of ['CF_API_TOKEN', 'CF_ACCOUNT_ID', 'CF_KV_NAMESPACE_ID']) {
      if (!get(variable)) missing(variable, 'edge.publish.kvApi needs it');
    }
  }
  if (config.haproxy.requireEdge && !edgeJwtPublicKeys)
    missing('EDGE_JWT_PUBLIC_KEYS', 'haproxy.requireEdge needs it: every request would be refused');
  const receivers = Object.entries(config.alerts.receivers);
  for (const [receiver, { type }] of receivers) {
    if (type === 'email' && !get('SMTP_URL'))
      missing('SMTP_URL', `alerts.receivers.${receiver} sends e-mail`);
    if (type === 'slack' && !get('SLACK_WEBHOOK_URL'))
      missing('SLACK_WEBHOOK_URL', `alerts.receivers.${receiver} writes to Slack`);
  }

  if (production) {
    if (!get('ACGS_TOKEN')) missing('ACGS_TOKEN', 'in production the API must have a token');
    if (!get('HAPROXY_STATS_PASSWORD'))
      missing('HAPROXY_STATS_PASSWORD', 'in production the stats page must have a password');
    for (const variable of SECRETS) {
      const value = get(variable);
      if (value && isSample(value)) {
        problems.push(
          `${variable}: a sample value is not allowed with ENVIRONMENT=production; set a secret of your own`,
        );
      }
    }
    const token = get('ACGS_TOKEN');
    if (token && token.length < 16)
      problems.push('ACGS_TOKEN: at least 16 characters with ENVIRONMENT=production');
  }
  if (problems.length > 0) throw new EnvironmentError([...new Set(problems)]);

  const optional = <K extends string>(key: K, variable: string): { [P in K]?: string } => {
    const value = get(variable);
    return (value === undefined ? {} : { [key]: value }) as { [P in K]?: string };
  };
  const [apiToken, accountId, namespaceId] = [
    get('CF_API_TOKEN'),
    get('CF_ACCOUNT_ID'),
    get('CF_KV_NAMESPACE_ID'),
  ];
  return {
    production,
    statsUser: get('HAPROXY_STATS_USER') ?? 'admin',
    statsPassword: get('HAPROXY_STATS_PASSWORD') ?? 'admin',
    edgeJwtPublicKeys,
    ...optional('redisUrl', 'REDIS_URL'),
    ...optional('databaseUrl', 'DATABASE_URL'),
    ...optional('token', 'ACGS_TOKEN'),
    ...optional('signingKey', 'SNAPSHOT_SIGNING_KEY'),
    ...optional('edgeToken', 'EDGE_TOKEN'),
    ...optional('smtpUrl', 'SMTP_URL'),
    ...optional('slackWebhookUrl', 'SLACK_WEBHOOK_URL'),
    ...(apiToken && accountId && namespaceId
      ? {
          cloudflare: {
            apiToken,
            accountId,
            namespaceId,
            apiUrl: get('CF_API_URL') ?? 'https://api.cloudflare.com/client/v4',
          },
        }
      : {}),
  };

  function missing(variable: string, why: string): void {
    problems.push(`${variable}: is not set; ${why}`);
  }

  function checkUrl(variable: string, protocols: string[]): void {
    const value = get(variable);
    if (!value) return;
    const protocol = /^([a-z+]+:)\/\//.exec(value)?.[1];
    if (!protocol || !protocols.includes(protocol)) {
      problems.push(
        `${variable}: expected a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`,
      );
    }
  }
}

function isSample(value: string): boolean {
  if (SAMPLE_VALUE.test(value) || WEAK_VALUES.has(value.toLowerCase())) return true;
  const password = /^[a-z+]+:\/\/[^/@]*:([^/@]*)@/.exec(value)?.[1];
  return password !== undefined && (SAMPLE_VALUE.test(password) || WEAK_VALUES.has(password.toLowerCase()));
}
