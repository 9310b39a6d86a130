import { expect, test } from 'vitest';
import { createQueryGate } from './query-gate.ts';

const idle = new AbortController().signal;
const limits = { perClient: 2, all: 3, running: 2 };

/** A query that the test ends. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>();
  let started = false;
  return {
    query: () => {
      started = true;
      return promise;
    },
    end: resolve,
    hasStarted: () => started,
  };
}

test('one query of a client at a time, and few in all', async () => {
  const gate = createQueryGate(limits);
  const [first, second, other, third] = [held(), held(), held(), held()];
  const runs = [
    gate.run('a', idle, first.query),
    gate.run('a', idle, second.query),
    gate.run('b', idle, other.query),
    gate.run('c', idle, third.query),
  ];
  await Promise.resolve();
  const started = () => [first, second, other, third].map((one) => one.hasStarted());
  expect(started()).toEqual([true, false, true, false]);
  first.end();
  await runs[0];
  await Promise.resolve();
  expect(started()).toEqual([true, true, true, false]);
  for (const one of [second, other, third]) one.end();
  await Promise.all(runs);
});

test('a query beyond the limit is refused; the query of a client that has gone does not run', async () => {
  const gate = createQueryGate(limits);
  const [first, gone, third] = [held(), held(), held()];
  const controller = new AbortController();
  const running = gate.run('a', idle, first.query);
  const dropped = gate.run('a', controller.signal, gone.query);
  const last = gate.run('a', idle, third.query);
  await expect(gate.run('a', idle, held().query)).rejects.toMatchObject({ status: 429 });
  controller.abort();
  first.end();
  third.end();
  await running;
  await expect(dropped).rejects.toMatchObject({ name: 'AbortError' });
  await last;
  expect(gone.hasStarted()).toBe(false);
});
