import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { type BannerInput, banner, pathOf } from './banner.ts';
import type { StackFile } from './stack-file.ts';

const stack: StackFile = {
  edge: 'http://127.0.0.1:8787',
  gateway: null,
  agent: 'http://127.0.0.1:9400',
  haproxyStats: null,
  haproxyStatsAuth: null,
  haproxySocket: null,
  redis: null,
  postgres: null,
  adminToken: 'token',
  edgeToken: 'token',
  derivation: { portOffset: 0, moveInstances: true, runFolder: '/tmp/r' },
  readyAt: '2026-11-24T12:00:00.000Z',
  instances: [{ id: 'a', service: 'web', url: 'http://127.0.0.1:8000', pid: null }],
  pids: { agent: 1, edge: 2, haproxy: null, redis: null, postgres: null },
};
const input: BannerInput = {
  stack,
  services: 1,
  demo: [],
  firstPath: '/',
  firstResponder: 'a',
  seconds: 1,
  stateDir: '.acgs',
  inspector: null,
};

test('the suggested commands find this stack in any state folder', () => {
  expect(banner(input)).toContain('npx acgs-lb status\n');
  const elsewhere = { ...input, stateDir: '../other', firstResponder: null };
  expect(banner(elsewhere)).toContain('  npx acgs-lb status --state-dir ../other\n');
  expect(banner(elsewhere)).toContain('npx acgs-lb status --state-dir ../other shows why');
});

test('a count of one is singular', () => {
  expect(banner(input)).toContain(
    'acgs-lb is running: 1 service, 1 instance. First response from a after 1.0 s.',
  );
});

test('the suggested request uses a path of the service', () => {
  const file = 'version: 1\nsite: { id: main }\nservices: { web: { routes: [/], health: { path: /up } } }\n';
  const web = parseConfig(file).services.web;
  expect(web && pathOf(web)).toBe('/up');
  expect(web && pathOf({ ...web, routes: ['/api/v1/auth'] })).toBe('/api/v1/auth/health');
  expect(banner({ ...input, firstPath: '/up' })).toContain('  curl -si http://127.0.0.1:8787/up\n');
});
