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
  readyAt: '2026-11-24T12:00:00.000Z',
  instances: [{ id: 'a', service: 'web', url: 'http://127.0.0.1:8000', pid: null }],
  pids: { agent: 1, edge: 2, haproxy: null, redis: null, postgres: null },
};
const facts: BannerInput = {
  stack,
  services: 1,
  demo: [],
  firstPath: '/',
  firstAnswer: 'a',
  seconds: 1,
  stateDir: '.acgs',
};

test('the commands it offers find this stack, wherever its state folder is', () => {
  expect(banner(facts)).toContain('npx acgs-lb status\n');
  const elsewhere = { ...facts, stateDir: '../other', firstAnswer: null };
  expect(banner(elsewhere)).toContain('  npx acgs-lb status --state-dir ../other\n');
  expect(banner(elsewhere)).toContain('npx acgs-lb status --state-dir ../other tells why');
});

test('one of a thing is called one thing', () => {
  expect(banner(facts)).toContain('acgs-lb runs: 1 service, 1 instance. First answer from a, after 1.0 s.');
});

test('the request it offers is one that the service answers', () => {
  const file = 'version: 1\nsite: { id: main }\nservices: { web: { routes: [/], health: { path: /up } } }\n';
  const web = parseConfig(file).services.web;
  expect(web && pathOf(web)).toBe('/up');
  expect(web && pathOf({ ...web, routes: ['/api/v1/auth'] })).toBe('/api/v1/auth/health');
  expect(banner({ ...facts, firstPath: '/up' })).toContain('  curl -si http://127.0.0.1:8787/up\n');
});
