import { expect, test } from 'vitest';
import type { StatusInstance, StatusService } from '../../schemas/status.ts';
import { countText, layoutServices } from './services-layout.js';

const quiet = { perSecond: 0, errorPercent: null, p50: null, p95: null, p99: null };
const none = { requests: 0, failed: 0, attempts: 0, retries: 0, hedges: 0, limited: 0 };
const traffic = { ...quiet, ...none, history: { until: 0, perSecond: [], errorPercent: [], p95: [] } };
const instance = (service: string, id: string, more: Partial<StatusInstance> = {}): StatusInstance => ({
  id,
  service,
  url: 'http://127.0.0.1:8004',
  origin: 'file',
  state: 'up',
  reason: 'fine',
  since: 1,
  health: 'up',
  breaker: 'closed',
  admin: 'ready',
  weight: 100,
  priority: 1,
  latencyMs: 1,
  inflight: 0,
  queued: 0,
  traffic: quiet,
  trafficPercent: null,
  ...more,
});
const service = (
  id: string,
  count: number,
  bad: Record<number, Partial<StatusInstance>> = {},
): StatusService => ({
  id,
  routes: [`/${id}`],
  timeoutMs: 1,
  maxconn: 1,
  traffic,
  inflight: 0,
  queued: 0,
  instances: Array.from({ length: count }, (_, index) => instance(id, `${id}-${index}`, bad[index])),
});
const down = (at: number): Partial<StatusInstance> => ({
  state: 'down',
  health: 'down',
  since: at,
  reason: `3 of 3 probes failed: connect refused 127.0.0.${at}:8004`,
});
const downs = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [index, down(index)]));
const view = { text: '', onlyBad: false, expanded: new Set<string>() };
const idsOf = (rows: readonly StatusInstance[] = []) => rows.map(({ id }) => id);

test('a small installation shows every instance, worst first', () => {
  const [group, other] = layoutServices([service('ac', 2), service('gs', 4, { 2: down(1) })], view);
  expect(idsOf(group?.rows)).toEqual(['gs-2', 'gs-0', 'gs-1', 'gs-3']);
  expect(other?.service.id).toBe('ac');
});

test('a large one shows rows only for unhealthy instances, worst service first, unless a service is expanded', () => {
  const services = [
    service('fine', 100),
    service('some', 100, { 50: down(1), 60: { state: 'draining', admin: 'drain' }, 70: down(2) }),
    service('gone', 20, downs(20)),
  ];
  const groups = layoutServices(services, view);
  expect(groups.map((group) => [group.service.id, group.rows.length, countText(group.rest)])).toEqual([
    ['gone', 3, '17 down'],
    ['some', 3, '97 up'],
    ['fine', 0, '100 up'],
  ]);
  expect(idsOf(groups[1]?.rows)).toEqual(['some-70', 'some-50', 'some-60']);
  const [, , expanded] = layoutServices(services, { ...view, expanded: new Set(['fine']) });
  expect(expanded?.rows).toHaveLength(100);
});

test('the filter matches ids, addresses, states and reasons; at most 300 rows', () => {
  const services = Array.from({ length: 5 }, (_, index) => service(`s${index}`, 150));
  const rows = (text: string) => layoutServices(services, { ...view, text }).flatMap((group) => group.rows);
  expect(idsOf(rows('s3-149'))).toEqual(['s3-149']);
  expect(rows('up')).toHaveLength(300);
  expect(
    layoutServices([service('gs', 100, { 7: down(1) })], { ...view, text: 'refused' })[0]?.rows,
  ).toHaveLength(1);
});
