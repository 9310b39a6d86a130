import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { expect, it } from 'vitest';
import { EnvironmentError, readEnvironment } from '../../agent/env.ts';
import { parseConfig } from '../../shared/config/load.ts';

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

it('agent.env.example shows every variable, and a production agent refuses each sample', () => {
  const text = read('deploy/agent.env.example').replaceAll(/^#(?=[A-Z_]+=)/gm, '');
  const variables = parseEnv(text);
  expect(Object.keys(variables).sort()).toEqual(
    [
      ...[
        'ENVIRONMENT',
        'REDIS_URL',
        'DATABASE_URL',
        'HAPROXY_STATS_USER',
        'HAPROXY_STATS_PASSWORD',
        'ACGS_TOKEN',
        'ACGS_TOKENS',
        'INTENT_KEY',
      ],
      ...['SNAPSHOT_SIGNING_KEY', 'EDGE_JWT_PUBLIC_KEYS', 'EDGE_TOKEN', 'CF_API_TOKEN', 'CF_ACCOUNT_ID'],
      ...['CF_KV_NAMESPACE_ID', 'SMTP_URL', 'SLACK_WEBHOOK_URL'],
    ].sort(),
  );
  let problems: string[] = [];
  try {
    readEnvironment(variables, parseConfig(read('acgs-lb.yaml')));
  } catch (error) {
    if (error instanceof EnvironmentError) problems = error.problems;
  }
  for (const name of [
    'REDIS_URL',
    'DATABASE_URL',
    'HAPROXY_STATS_PASSWORD',
    'ACGS_TOKEN',
    'EDGE_TOKEN',
    'CF_API_TOKEN',
  ]) {
    expect(problems.some((line) => line.startsWith(`${name}: a sample value`))).toBe(true);
  }
});
