import type { Config } from '../shared/config/config.ts';
import { secretReferences } from '../shared/config/secret-references.ts';
import { errorMessage } from '../shared/error-message.ts';
import { parseEncodedKey, parseKeyList } from '../shared/snapshot/keys.ts';
import { ADMIN_TOKEN_NAME, type ApiToken, parseApiTokens } from './core/api-token.ts';
import type { CloudflareAccess, Environment } from './core/environment.ts';
import { parsePostgresUrl } from './history/sql/postgres-url.ts';
import { parseMessageKeys } from './lib/message-signer.ts';
import { parseRedisUrl } from './live/redis-url.ts';

/** The environment is invalid. `problems` lists every error and contains no value of a secret. */
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
  'ACGS_TOKENS',
  'INTENT_KEY',
  'SNAPSHOT_SIGNING_KEY',
  'EDGE_JWT_PUBLIC_KEYS',
  'EDGE_TOKEN',
  'CF_API_TOKEN',
  'SMTP_URL',
  'SLACK_WEBHOOK_URL',
] as const;

/** Values from the documentation and deploy/agent.env.example, which are public and so not allowed in production. */
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
const MIN_TOKEN_LENGTH = 16;

type Variables = { readonly [name: string]: string | undefined };
/** Reads one variable; undefined if it is not set or empty. */
type GetVariable = (name: string) => string | undefined;

/** Reads the agent's environment. Throws an EnvironmentError that reports all errors at once. */
export function readEnvironment(variables: Variables, config: Config): Environment {
  const get: GetVariable = (name) => variables[name]?.trim() || undefined;
  const production = get('ENVIRONMENT') === 'production';
  const problems = [
    ...formatProblems(get),
    ...missingForConfig(get, config),
    ...malformedUrls(get, config),
    ...(production ? productionProblems(get, config) : []),
  ];
  if (problems.length > 0) throw new EnvironmentError([...new Set(problems)]);
  const cloudflare = cloudflareAccess(get);
  const intentKey = get('INTENT_KEY');
  return {
    production,
    statsUser: get('HAPROXY_STATS_USER') ?? 'admin',
    statsPassword: get('HAPROXY_STATS_PASSWORD') ?? 'admin',
    tokens: apiTokens(get),
    intentKeys: intentKey === undefined ? [] : parseMessageKeys('INTENT_KEY', intentKey),
    edgeJwtPublicKeys: get('EDGE_JWT_PUBLIC_KEYS') ?? '',
    ...optional('redisUrl', get('REDIS_URL')),
    ...optional('databaseUrl', get('DATABASE_URL')),
    ...optional('signingKey', get('SNAPSHOT_SIGNING_KEY')),
    ...optional('edgeToken', get('EDGE_TOKEN')),
    ...optional('smtpUrl', get('SMTP_URL')),
    ...optional('slackWebhookUrl', get('SLACK_WEBHOOK_URL')),
    ...(cloudflare && { cloudflare }),
    variable: get,
  };
}

const optional = <K extends string>(key: K, value: string | undefined): { [P in K]?: string } =>
  (value === undefined ? {} : { [key]: value }) as { [P in K]?: string };

function apiTokens(get: GetVariable): ApiToken[] {
  const [admin, more] = [get('ACGS_TOKEN'), get('ACGS_TOKENS')];
  return [
    ...(admin ? [{ name: ADMIN_TOKEN_NAME, scope: { kind: 'admin' } as const, secret: admin }] : []),
    ...(more ? parseApiTokens('ACGS_TOKENS', more) : []),
  ];
}

function cloudflareAccess(get: GetVariable): CloudflareAccess | null {
  const [apiToken, accountId, namespaceId] = [
    get('CF_API_TOKEN'),
    get('CF_ACCOUNT_ID'),
    get('CF_KV_NAMESPACE_ID'),
  ];
  if (!apiToken || !accountId || !namespaceId) return null;
  const apiUrl = get('CF_API_URL') ?? 'https://api.cloudflare.com/client/v4';
  return { apiToken, accountId, namespaceId, apiUrl };
}

/** Errors in the format of variables that are set. */
function formatProblems(get: GetVariable): string[] {
  const parsers: [variable: string, parse: (value: string) => unknown][] = [
    ['ENVIRONMENT', checkEnvironmentName],
    ['REDIS_URL', parseRedisUrl],
    ['DATABASE_URL', parsePostgresUrl],
    ['ACGS_TOKENS', (value) => parseApiTokens('ACGS_TOKENS', value)],
    ['INTENT_KEY', (value) => parseMessageKeys('INTENT_KEY', value)],
    ['SMTP_URL', (value) => checkUrl('SMTP_URL', value, ['smtp:', 'smtps:'])],
    ['SLACK_WEBHOOK_URL', (value) => checkUrl('SLACK_WEBHOOK_URL', value, ['https:', 'http:'])],
    ['SNAPSHOT_SIGNING_KEY', (value) => parseEncodedKey('SNAPSHOT_SIGNING_KEY', value)],
    ['EDGE_JWT_PUBLIC_KEYS', (value) => parseKeyList('EDGE_JWT_PUBLIC_KEYS', value)],
  ];
  return parsers.flatMap(([variable, parse]) => {
    const value = get(variable);
    if (value === undefined) return [];
    try {
      parse(value);
      return [];
    } catch (error) {
      return [errorMessage(error)];
    }
  });
}

function checkEnvironmentName(name: string): void {
  if (['production', 'staging', 'development', 'test'].includes(name)) return;
  const expected = 'expected production, staging, development or test';
  throw new Error(`ENVIRONMENT: ${JSON.stringify(name)} is not allowed; ${expected}`);
}

function checkUrl(variable: string, value: string, protocols: readonly string[]): void {
  const protocol = /^([a-z+]+:)\/\//.exec(value)?.[1];
  if (protocol && protocols.includes(protocol)) return;
  const expected = protocols.map((each) => `${each}//`).join(' or ');
  throw new Error(`${variable}: expected a URL that starts with ${expected}`);
}

/** Variables that this configuration needs and that are not set. */
function missingForConfig(get: GetVariable, config: Config): string[] {
  const { site, edge, haproxy, alerts } = config;
  const needed: [variable: string, reason: string][] = [];
  if (site.agents > 1 && get('REDIS_URL')) {
    needed.push(['INTENT_KEY', 'the agents of a site sign what they exchange through Redis']);
  }
  const { publish, url } = edge;
  if (publish.ingest && url) {
    needed.push(['SNAPSHOT_SIGNING_KEY', 'edge.publish.ingest needs it to sign the snapshot']);
  }
  if (publish.kvApi) {
    needed.push(['SNAPSHOT_SIGNING_KEY', 'edge.publish.kvApi needs it to sign the snapshot']);
    for (const variable of ['CF_API_TOKEN', 'CF_ACCOUNT_ID', 'CF_KV_NAMESPACE_ID']) {
      needed.push([variable, 'edge.publish.kvApi needs it']);
    }
  }
  if (haproxy.requireEdge) {
    const reason = 'haproxy.requireEdge needs it: without it HAProxy refuses every request';
    needed.push(['EDGE_JWT_PUBLIC_KEYS', reason]);
  }
  for (const [receiver, { type }] of Object.entries(alerts.receivers)) {
    if (type === 'email') needed.push(['SMTP_URL', `alerts.receivers.${receiver} sends e-mail`]);
    if (type === 'slack') needed.push(['SLACK_WEBHOOK_URL', `alerts.receivers.${receiver} sends to Slack`]);
  }
  for (const { path, name } of secretReferences(config)) needed.push([name, `${path} names it`]);
  return needed.filter(([variable]) => !get(variable)).map(notSet);
}

/** A variable that stands for a URL must hold one. */
function malformedUrls(get: GetVariable, config: Config): string[] {
  return secretReferences(config).flatMap(({ name, path, isUrl }) => {
    const value = get(name);
    if (!isUrl || value === undefined) return [];
    const valid = URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
    return valid ? [] : [`${name}: expected an http:// or https:// URL for ${path}`];
  });
}

const notSet = ([variable, reason]: readonly [string, string]): string =>
  `${variable}: is not set; ${reason}`;

function productionProblems(get: GetVariable, config: Config): string[] {
  const problems: string[] = [];
  const token = get('ACGS_TOKEN');
  if (!token) problems.push(notSet(['ACGS_TOKEN', 'in production the API must have a token']));
  if (!get('HAPROXY_STATS_PASSWORD')) {
    problems.push(notSet(['HAPROXY_STATS_PASSWORD', 'in production the stats page must have a password']));
  }
  for (const variable of [...SECRETS, ...secretReferences(config).map(({ name }) => name)]) {
    const value = get(variable);
    if (!value || !isSample(value)) continue;
    problems.push(
      `${variable}: a sample value is not allowed with ENVIRONMENT=production; set your own secret`,
    );
  }
  if (token && token.length < MIN_TOKEN_LENGTH) {
    problems.push(`ACGS_TOKEN: at least ${MIN_TOKEN_LENGTH} characters with ENVIRONMENT=production`);
  }
  return problems;
}

function isSample(value: string): boolean {
  const isPublic = (text: string) => SAMPLE_VALUE.test(text) || WEAK_VALUES.has(text.toLowerCase());
  const password = /^[a-z+]+:\/\/[^/@]*:([^/@]*)@/.exec(value)?.[1];
  return isPublic(value) || (password !== undefined && isPublic(password));
}
