import { expect, test } from 'vitest';
import { createListenerErrorReporter } from './listener-errors.ts';

test('an error is logged once per message and counted every time', () => {
  const logged: unknown[] = [];
  const counted: string[] = [];
  const report = createListenerErrorReporter(
    { error: (fields: unknown) => void logged.push(fields) },
    (listener) => counted.push(listener),
  );
  for (let round = 0; round < 3; round++) {
    report('redis', new Error('a'));
    report('redis', new Error('b'));
    report('events', 'a');
  }
  expect(logged).toMatchObject([{ listener: 'redis' }, { listener: 'redis' }, { listener: 'events' }]);
  expect(counted).toHaveLength(9);
  for (let number = 0; number < 1_000; number++) report('redis', new Error(`row ${number}`));
  expect(logged).toHaveLength(100);
});
