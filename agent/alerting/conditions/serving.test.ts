import { expect, test } from 'vitest';
import { sampleInstance } from '../../../test/harness/instance.ts';
import type { Instance } from '../../core/state.ts';
import { alertKey } from './condition.ts';
import { servingConditions, servingText } from './serving.ts';

const NOW = 1_000_000;
const at = (service: string, number: number, host: string, more: Partial<Instance> = {}): Instance =>
  sampleInstance({
    id: `${service}-${number}`,
    service,
    url: `http://${host}:80${number}0`,
    lastProbe: { kind: 'probe', service, instance: `${service}-${number}`, at: NOW, ok: true, latencyMs: 1 },
    ...more,
  });
const dead: Partial<Instance> = {
  state: 'down',
  health: 'down',
  since: NOW - 5_000,
  reason: '3 of 3 probes failed: connect refused 10.0.0.1:8010',
};
const probeFailed = (instance: Instance): Instance => ({
  ...instance,
  lastProbe: {
    kind: 'probe',
    service: instance.service,
    instance: instance.id,
    at: NOW,
    ok: false,
    latencyMs: 1,
  },
});
function conditions(instances: Instance[], open: string[] = [], services?: string[]) {
  const ids = services ?? [...new Set(instances.map(({ service }) => service))];
  return servingConditions({ services: ids, instances, open: new Set(open), now: NOW });
}
const gs = (...more: Partial<Instance>[]) =>
  more.map((each, index) => at('gs', index + 1, `10.0.0.${index}`, each));

test('no condition while all instances are up, or when an operator took an instance out', () => {
  expect(conditions(gs({}, {}))).toEqual([]);
  expect(conditions(gs({}, { state: 'down', admin: 'maint' }))).toEqual([]);
  expect(conditions(gs({}, { state: 'draining', admin: 'drain' }))).toEqual([]);
});

test('one alert, whose severity rises when one instance is down, when one is left, and when none is left', () => {
  const found = [gs({}, {}, dead), gs({}, dead, dead), gs(dead, dead, dead)].flatMap((each) =>
    conditions(each),
  );
  expect(found.map(({ rule, severity }) => `${rule} ${severity}`)).toEqual([
    'instanceDown warning',
    'redundancyLost critical',
    'serviceDown emergency',
  ]);
  expect(new Set(found.map(alertKey)).size).toBe(1);
  expect(found.map(({ message }) => message)).toEqual([
    'gs: 1 of 3 instances down, 2 serve; gs-3: 3 of 3 probes failed: connect refused',
    'gs: only gs-1 serves (1 of 3); gs-2, gs-3: 3 of 3 probes failed: connect refused',
    'gs: no instance serves (0 of 3); gs-1, gs-2, gs-3: 3 of 3 probes failed: connect refused',
  ]);
});

test('instances without a probe result, and a service without them yet, are no outage', () => {
  const unknown: Partial<Instance> = { state: 'down', health: 'unknown' };
  expect(conditions(gs(unknown, unknown))).toEqual([]);
  expect(conditions([], [], ['gs'])).toMatchObject([
    { rule: 'serviceDown', message: 'gs: no instance is configured or registered' },
  ]);
});

test('a host whose instances all failed is one condition that names the effects', () => {
  const lost = '10.0.0.9';
  const instances = [
    ...[at('gs', 1, lost, dead), at('ec', 1, lost, dead), at('fv', 1, lost, dead)],
    ...[at('gs', 2, '10.0.0.8'), at('ec', 2, '10.0.0.8'), at('ec', 3, '10.0.0.8')],
  ];
  expect(conditions(instances)).toMatchObject([
    {
      rule: 'instanceDown',
      service: '',
      subject: lost,
      severity: 'emergency',
      message:
        'host 10.0.0.9: all 3 instances down; gs-1, ec-1, fv-1: 3 of 3 probes failed: connect refused; ' +
        'no instance serves: fv; one instance left: gs',
    },
  ]);
  // While the host comes back, its alert goes on; nothing new is raised for what it covers.
  const back = instances.map((each) => (each.id === 'fv-1' ? at('fv', 1, lost) : each));
  const key = alertKey({ rule: 'instanceDown', service: '', subject: lost });
  expect(conditions(back, [key])).toMatchObject([{ subject: lost, severity: 'critical', value: 2 }]);
});

test('an instance waits for the others on its host only while their probes fail too', () => {
  const host = '10.0.0.9';
  const first = at('gs', 1, host, dead);
  const other = at('ec', 1, host);
  const mates = [at('gs', 2, '10.0.0.8'), at('ec', 2, '10.0.0.8')];
  expect(conditions([first, other, ...mates])).toMatchObject([{ rule: 'redundancyLost', service: 'gs' }]);
  expect(conditions([first, probeFailed(other), ...mates])).toEqual([]);
  const long = { ...first, since: NOW - 9_000 };
  expect(conditions([long, probeFailed(other), ...mates])).toMatchObject([{ service: 'gs' }]);
  // An alert that is open does not wait.
  const open = [alertKey({ rule: 'instanceDown', service: 'gs', subject: '' })];
  expect(conditions([first, probeFailed(other), ...mates], open)).toMatchObject([{ service: 'gs' }]);
});

test('an open alert of a service stays with the service when its whole host fails', () => {
  const host = '10.0.0.9';
  const instances = [
    at('gs', 1, host, dead),
    at('ec', 1, host, dead),
    at('gs', 2, '10.0.0.8'),
    at('ec', 2, '10.0.0.8'),
  ];
  const open = [alertKey({ rule: 'instanceDown', service: 'gs', subject: '' })];
  expect(conditions(instances, open).map(({ service, subject }) => [service, subject])).toEqual([
    ['gs', ''],
    ['ec', ''],
  ]);
});

test('the recovery counts the instances as they are', () => {
  expect(servingText('gs', gs({}, {}))).toBe('gs: all 2 instances serve again');
  expect(servingText('gs', gs({}, { state: 'down', admin: 'maint' }))).toBe(
    'gs: 1 of 2 instances serve again',
  );
});
