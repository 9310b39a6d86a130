import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configReference } from './config-reference.ts';

it('docs/configuration-reference.md is current (update: npm run docs:reference)', () => {
  const file = new URL('../docs/configuration-reference.md', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(configReference());
});

it('lists each key with its form, its default as the file writes it, and its meaning', () => {
  const lines = configReference().split('\n');
  const row = (path: string) => lines.find((line) => line.startsWith(`| \`${path}\``));
  expect(row('services.<id>.health.interval')).toContain(
    '250ms, 10s, 5m, 1h or 7d, from 1ms to 24d | `10s` | Time between',
  );
  expect(row('services.<id>.failover.retryBudget')).toContain('| `20%` |');
  expect(row('services.<id>.instances[].url')).toContain('| **required** |');
  expect(row('haproxy.rateLimit')).toContain('| `off` |');
  expect(row('retention')).toContain('| `30d` |');
  expect(row('agent.bind')).toContain('↻');
  expect(row('haproxy.bind')).not.toContain('↻');
  expect(row('alerts.receivers.<id>(slack).channel')).toBeDefined();
});
