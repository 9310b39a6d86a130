import { expect, test } from 'vitest';
import { sampleInstance } from '../../../test/harness/instance.ts';
import type { Instance } from '../../core/state.ts';
import { computeDesiredServers } from './desired.ts';

const instance = (id: string, more: Partial<Instance> = {}) => sampleInstance({ id, service: 's', ...more });
const verdicts = (instances: Instance[], initial: string[] = []) =>
  [...computeDesiredServers(instances, new Set(initial)).values()]
    .filter(({ service }) => service === 's')
    .map(({ verdict }) => verdict);
const down: Partial<Instance> = { state: 'down', health: 'down' };
const broken: Partial<Instance> = { state: 'down', breaker: 'open' };

test('state becomes a verdict; probation and draining serve', () => {
  const others = [
    instance('b', { state: 'probation' }),
    instance('c', { state: 'draining', admin: 'drain' }),
  ];
  expect(verdicts([instance('a'), ...others, instance('d', down)])).toEqual(['up', 'up', 'up', 'down']);
});

test('an initial instance has no verdict until it has a health result; a new one stays out', () => {
  const unknown: Partial<Instance> = { health: 'unknown', state: 'down' };
  expect(verdicts([instance('a'), instance('b', unknown)], ['s/b'])).toEqual(['up', null]);
  expect(verdicts([instance('a'), instance('b', unknown)])).toEqual(['up', 'down']);
});

test('a breaker never removes the last instance; an unhealthy one stays out', () => {
  expect(verdicts([instance('a', broken), instance('b', down)])).toEqual(['up', 'down']);
  expect(verdicts([instance('a', broken), instance('b')])).toEqual(['down', 'up']);
  expect(verdicts([instance('a', { ...broken, admin: 'maint' }), instance('b', down)])).toEqual([
    'down',
    'down',
  ]);
});

test('maintenance does not change the verdict', () => {
  const maint: Partial<Instance> = { admin: 'maint', state: 'down' };
  expect(verdicts([instance('a', maint), instance('b')])).toEqual(['up', 'up']);
  expect(verdicts([instance('a', { ...maint, health: 'down' }), instance('b')])).toEqual(['down', 'up']);
});

test('every instance has a second server for its long-lived connections, with the same verdict and admin state', () => {
  const desired = computeDesiredServers([instance('a', { ...down, admin: 'drain' })], new Set());
  const server = { instance: 'a', verdict: 'down', admin: 'drain' };
  expect([...desired]).toMatchObject([
    ['s/a', { ...server, service: 's' }],
    ['s:long/a', { ...server, service: 's:long' }],
  ]);
});
