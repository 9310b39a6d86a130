import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import type { Instance } from '../../core/state.ts';
import { initialRecords } from '../../judge/initial.ts';
import { buildSnapshot } from '../../snapshot/build.ts';
import { explain } from './explain.ts';

const config = parseConfig(`
version: 1
site: { id: main }
rateLimits: [ { name: site-wide, key: ip, limit: 50, window: 10s } ]
defaults: { rateLimits: [ { name: per-ip, key: ip, limit: 20, window: 10s } ] }
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
const explainFor = (query: object, instances = up(), pins = {}) =>
  explain({ path: '/x', host: '', ...query }, { config, instances, pins }, NOW);

test('route, shares by weight, and limits', () => {
  const explanation = explainFor({ path: '/api/v1/governance/x' });
  expect(explanation).toMatchObject({
    service: 'gs',
    route: '/api/v1/governance',
    limits: ['site-wide', 'per-ip'],
  });
  expect(explanation.candidates.map(({ sharePercent }) => sharePercent)).toEqual([66.7, 33.3]);
  expect(explanation.candidates.filter(({ chosen }) => chosen)).toHaveLength(1);
});

test('no instance is left: 503; an access rule denies the client: 403', () => {
  expect(explainFor({ path: '/api/v1/policy/x' })).toMatchObject({
    service: 'pgc',
    chosen: null,
    why: expect.stringContaining('503'),
  });
  expect(explainFor({ path: '/admin', client: '8.8.8.8' })).toMatchObject({
    chosen: null,
    why: expect.stringContaining('/admin'),
  });
  expect(explainFor({ path: '/admin', client: '10.1.1.1' }).chosen).not.toBeNull();
});

test('a session stays where its hash placed it, or where it was moved', () => {
  const session = '0192f0c0-0000-7000-8000-000000000001';
  const first = explainFor({ session });
  expect(first.why).toContain('when the session began');
  expect(explainFor({ session }).chosen).toBe(first.chosen);
  const elsewhere = first.chosen === 'gs-1' ? 'gs-2' : 'gs-1';
  expect(explainFor({ session }, up(), { [session]: { gs: elsewhere } })).toMatchObject({
    chosen: elsewhere,
  });
  expect(explainFor({ session }, up({ [first.chosen ?? '']: { state: 'down' } })).chosen).toBe(elsewhere);
});

test('a site-wide limit is part of every service in the snapshot, marked as shared', () => {
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
