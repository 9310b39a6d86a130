import { expect, test } from 'vitest';
import { sampleInstance } from '../../../test/harness/instance.ts';
import type { Instance } from '../../core/state.ts';
import { computeDesiredServers } from './desired.ts';

const instance = (id: string, more: Partial<Instance> = {}) => sampleInstance({ id, service: 's', ...more });
const verdicts = (instances: Instance[], settled: string[] = []) =>
  [...computeDesiredServers(instances, new Set(settled)).values()].map(({ verdict }) => verdict);
const down: Partial<Instance> = { state: 'down', health: 'down' };
const broken: Partial<Instance> = { state: 'down', breaker: 'open' };

test('state becomes a verdict; probation and draining serve', () => {
  const others = [
    instance('b', { state: 'probation' }),
    instance('c', { state: 'draining', admin: 'drain' }),
  ];
  expect(verdicts([instance('a'), ...others, instance('d', down)])).toEqual(['up', 'up', 'up', 'down']);
});

test('an instance there at the start is left alone until it is judged; a newcomer waits outside', () => {
  const unknown: Partial<Instance> = { health: 'unknown', state: 'down' };
  expect(verdicts([instance('a'), instance('b', unknown)], ['s/b'])).toEqual(['up', null]);
  expect(verdicts([instance('a'), instance('b', unknown)])).toEqual(['up', 'down']);
});

test('a breaker never takes the last one, a dead one stays out', () => {
  expect(verdicts([instance('a', broken), instance('b', down)])).toEqual(['up', 'down']);
  expect(verdicts([instance('a', broken), instance('b')])).toEqual(['down', 'up']);
  expect(verdicts([instance('a', { ...broken, admin: 'maint' }), instance('b', down)])).toEqual([
    'down',
    'down',
  ]);
});

test('maintenance says nothing about the instance itself', () => {
  const maint: Partial<Instance> = { admin: 'maint', state: 'down' };
  expect(verdicts([instance('a', maint), instance('b')])).toEqual(['up', 'up']);
  expect(verdicts([instance('a', { ...maint, health: 'down' }), instance('b')])).toEqual(['down', 'up']);
});
