import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { configChanges } from './difference.ts';

const config = (service: string, more = '') =>
  parseConfig(`version: 1\nsite: { id: main }\n${more}\nservices:\n  web: { routes: [/], ${service} }\n`);
const perIp = (limit: number) => `rateLimits: [{ name: per-ip, key: ip, limit: ${limit}, window: 10s }]`;
const texts = (before: string, after: string) =>
  configChanges(config(before), config(after)).map(({ text }) => text);

test('a limit is named by service and name, not by its position', () => {
  expect(configChanges(config(perIp(20)), config(perIp(500)))).toEqual([
    {
      key: 'services.web.rateLimits.per-ip.limit',
      service: 'web',
      from: '20',
      to: '500',
      text: 'web.rateLimits.per-ip.limit: 20 → 500',
      restartOnly: false,
    },
  ]);
});

test('durations are written as in the file', () => {
  expect(texts('timeout: 60s', 'timeout: 45s')).toContain('web.timeout: 1m → 45s');
  expect(texts('slowStart: 90s', 'slowStart: 0s')).toEqual(['web.slowStart: 90s → 0s']);
});

test('items that come or go are named', () => {
  const one = 'instances: [{ id: web-1, url: "http://10.0.0.1:80" }]';
  expect(texts(`${perIp(20)}, ${one}`, one)).toEqual([
    expect.stringMatching(/^web\.rateLimits\.per-ip: removed, was \{/),
  ]);
  expect(texts('instances: []', one)).toEqual([expect.stringMatching(/^web\.instances\.web-1: added \{/)]);
});

test('a key that takes effect at a restart says so', () => {
  const [change] = configChanges(
    config('timeout: 30s'),
    config('timeout: 30s', 'agent: { bind: "127.0.0.1:9999" }'),
  );
  expect(change).toMatchObject({ key: 'agent.bind', service: '', restartOnly: true });
  expect(change?.text).toContain('(takes effect when the agent restarts)');
});
