import { expect, test } from 'vitest';
import { sampleInstance } from '../../../test/harness/instance.ts';
import { type Instance, instanceKey } from '../../core/state.ts';
import { finish } from '../../lib/slices.ts';
import { computeDesiredServers } from './desired.ts';
import { createDesiredTable } from './desired-table.ts';

const instancesOf = (...list: Instance[]) =>
  new Map(list.map((instance) => [instanceKey(instance.service, instance.id), instance]));
const up = (service: string, id: string, rest: Partial<Instance> = {}) =>
  sampleInstance({ service, id, ...rest });
const createTable = () => createDesiredTable({ initial: new Set(), services: () => ({}), now: () => 0 });

test('a change computes its service, and an update of all services the same as at once', () => {
  const table = createTable();
  const before = instancesOf(up('gs', 'gs-1'), up('pgc', 'pgc-1'));
  finish(table.updateAllSteps(before));
  expect(table.all()).toEqual(computeDesiredServers(before.values(), new Set()));

  const changed = instancesOf(
    up('gs', 'gs-1', { weight: 7 }),
    up('gs', 'gs-2'),
    up('pgc', 'pgc-1', { weight: 8 }),
  );
  table.update(changed, new Set(['gs']));
  expect(table.all().get('gs/gs-1')?.weight).toBe(7);
  expect(table.all().has('gs/gs-2')).toBe(true);
  expect(table.all().get('pgc/pgc-1')?.weight).toBe(100);
  finish(table.updateAllSteps(changed));
  expect(table.all()).toEqual(computeDesiredServers(changed.values(), new Set()));
});

test('a service without instances has no servers', () => {
  const table = createTable();
  finish(table.updateAllSteps(instancesOf(up('gs', 'gs-1'), up('pgc', 'pgc-1'))));
  table.update(instancesOf(up('gs', 'gs-1')), new Set(['pgc']));
  expect([...table.all().keys()]).toEqual(['gs/gs-1', 'gs:long/gs-1']);
  finish(table.updateAllSteps(instancesOf()));
  expect(table.all().size).toBe(0);
});

test('a change during an update of all services is not overwritten', () => {
  const table = createTable();
  const older = instancesOf(up('gs', 'gs-1'), up('pgc', 'pgc-1'));
  const steps = table.updateAllSteps(older);
  steps.next();
  table.update(instancesOf(up('gs', 'gs-1', { weight: 7 })), new Set(['gs']));
  finish(steps);
  expect(table.all().get('gs/gs-1')?.weight).toBe(7);
  expect(table.all().get('pgc/pgc-1')?.weight).toBe(100);
});
