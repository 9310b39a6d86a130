import { expect, test } from 'vitest';
import { parseConfig } from '../shared/config/load.ts';
import { EnvironmentError, readEnvironment } from './env.ts';

const config = (more = '') =>
  parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/] } }
${more}`);

function problems(variables: Record<string, string>, more = ''): string[] {
  try {
    readEnvironment(variables, config(more));
    return [];
  } catch (error) {
    if (error instanceof EnvironmentError) return error.problems;
    throw error;
  }
}

const PRODUCTION = {
  ENVIRONMENT: 'production',
  ACGS_TOKEN: 'k3Jd8sLq0vB7nXz2mW5t',
  HAPROXY_STATS_PASSWORD: 'Vq8-rT2m.Lx',
  DATABASE_URL: 'postgres://acgs_lb_user:Zr7_pQ1x@db.internal:5432/acgs_lb',
};

test('production accepts its own secrets', () => {
  expect(problems(PRODUCTION)).toEqual([]);
  expect(readEnvironment(PRODUCTION, config())).toMatchObject({
    production: true,
    tokens: [{ name: 'admin', scope: { kind: 'admin' }, secret: PRODUCTION.ACGS_TOKEN }],
  });
});

test('production refuses sample, weak, and missing secrets, reports all at once, and shows none of them', () => {
  const found = problems({
    ENVIRONMENT: 'production',
    ACGS_TOKEN: 'change-me',
    HAPROXY_STATS_PASSWORD: 'secure_password_here',
    DATABASE_URL: 'postgresql://user:password@localhost:5432/acgs_lb',
  });
  expect(found.map((problem) => problem.split(':')[0])).toEqual([
    'DATABASE_URL',
    'HAPROXY_STATS_PASSWORD',
    'ACGS_TOKEN',
    'ACGS_TOKEN',
  ]);
  expect(found.join()).not.toMatch(/change-me|secure_password|user:password/);
  expect(problems({ ENVIRONMENT: 'production' })).toHaveLength(2);
});

test('sample values are allowed outside production', () => {
  expect(problems({ ACGS_TOKEN: 'change-me', HAPROXY_STATS_PASSWORD: 'admin' })).toEqual([]);
});

test('variables that the configuration needs must be set', () => {
  const more = `
edge: { publish: { kvApi: true } }
haproxy: { requireEdge: true }
alerts: { receivers: { log: { type: log }, ops: { type: slack }, mail: { type: email, from: a@b.test, to: [c@d.test] } } }`;
  const names = problems({}, more).map((problem) => problem.split(':')[0]);
  expect(new Set(names)).toEqual(
    new Set([
      'SNAPSHOT_SIGNING_KEY',
      'EDGE_JWT_PUBLIC_KEYS',
      'CF_API_TOKEN',
      'CF_ACCOUNT_ID',
      'CF_KV_NAMESPACE_ID',
      'SMTP_URL',
      'SLACK_WEBHOOK_URL',
    ]),
  );
});

test('malformed values are reported by name, and never shown', () => {
  const found = problems({
    ENVIRONMENT: 'prod',
    REDIS_URL: 'localhost:6379',
    SNAPSHOT_SIGNING_KEY: 'no-key-at-all',
  });
  expect(found).toHaveLength(3);
  expect(found.join()).not.toContain('no-key-at-all');
});
