import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { Instance } from '../core/state.ts';
import { initialRecords } from '../judge/initial.ts';
import { buildSnapshot } from '../snapshot/build.ts';
import { explain } from './explain.ts';

const config = parseConfig(`
version: 1
site: { id: main }
rateLimits: [ { name: site-wide, key: ip, limit: 50, window: 10s } ]
services:
  gs:
    routes: [/, /api/v1/governance]
    access: [ { path: /admin, allow: [ 10.0.0.0/8 ] } ]
    instances: [ { id: gs-1, url: "http://127.0.0.1:1" }, { id: gs-2, url: "http://127.0.0.1:2", weight: 50 } ]
  pgc: { routes: [/api/v1/policy] }
`);
const NOW = 1_800_000_000_000;
const up = (change: Record<string, Partial<Instance>> = {}) =>
  initialRecords(config, null, 0).map(
    ({ instance }): Instance => ({ ...instance, state: 'up', ...change[instance.id] }),
  );
const ask = (question: object, instances = up(), pins = {}) =>
  explain({ path: '/x', host: '', ...question }, { config, instances, pins }, NOW);

test('route, shares by weight, and limits', () => {
  const told = ask({ path: '/api/v1/governance/x' });
  expect(told).toMatchObject({ service: 'gs', route: '/api/v1/governance', limits: ['site-wide', 'per-ip'] });
  expect(told.candidates.map(({ sharePercent }) => sharePercent)).toEqual([66.7, 33.3]);
  expect(told.candidates.filter(({ chosen }) => chosen)).toHaveLength(1);
});

test('nobody to answer, and a client that is not let in', () => {
  expect(ask({ path: '/api/v1/policy/x' })).toMatchObject({
    service: 'pgc',
    chosen: null,
    why: expect.stringContaining('503'),
  });
  expect(ask({ path: '/admin', client: '8.8.8.8' })).toMatchObject({
    chosen: null,
    why: expect.stringContaining('/admin'),
  });
  expect(ask({ path: '/admin', client: '10.1.1.1' }).chosen).not.toBeNull();
});

test('a session is where it was placed, or where it was moved', () => {
  const session = '0192f0c0-0000-7000-8000-000000000001';
  const first = ask({ session });
  expect(first.why).toContain('when it began');
  expect(ask({ session }).chosen).toBe(first.chosen);
  const elsewhere = first.chosen === 'gs-1' ? 'gs-2' : 'gs-1';
  expect(ask({ session }, up(), { [session]: { gs: elsewhere } })).toMatchObject({ chosen: elsewhere });
  expect(ask({ session }, up({ [first.chosen ?? '']: { state: 'down' } })).chosen).toBe(elsewhere);
});

test('limits of all services reach the edge with every service, marked as shared', () => {
  const { services } = buildSnapshot({
    config,
    instances: up(),
    order: { epoch: 1, seq: 1 },
    issuedAt: NOW,
    pins: undefined,
  });
  for (const id of ['gs', 'pgc']) {
    expect(services[id]?.rateLimits).toMatchObject([
      { name: 'site-wide', shared: true },
      { name: 'per-ip', limit: 20 },
    ]);
    expect(services[id]?.rateLimits[1]).not.toHaveProperty('shared');
  }
});
