import { expect, test } from 'vitest';
import { isLastServing } from './serving.ts';

const instance = (id: string, state: 'up' | 'probation' | 'draining' | 'down', service = 'gs') => ({
  id,
  state,
  service,
});

test('an instance is the last serving one if no other of its service is up or on probation', () => {
  const first = instance('gs-1', 'up');
  expect(isLastServing(first, [first, instance('gs-2', 'draining'), instance('gs-3', 'down')])).toBe(true);
  expect(isLastServing(first, [first, instance('ac-1', 'up', 'ac')])).toBe(true);
  expect(isLastServing(first, [first, instance('gs-2', 'probation')])).toBe(false);
});
