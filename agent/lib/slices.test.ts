import { expect, test } from 'vitest';
import { finish, inSlices } from './slices.ts';

function* count(to: number, onStep: (step: number) => void): Generator<void, string> {
  for (let step = 1; step <= to; step++) {
    onStep(step);
    yield;
  }
  return `${to} steps`;
}

test('long work lets the event loop go on every few milliseconds', async () => {
  let now = 0;
  const order: string[] = [];
  const work = inSlices(
    count(9, (step) => {
      now += 1;
      order.push(String(step));
    }),
    () => now,
  );
  order.push('started');
  setImmediate(() => order.push('other work'));
  expect(await work).toBe('9 steps');
  expect(order.slice(0, 5)).toEqual(['1', '2', '3', '4', 'started']);
  expect(order.indexOf('other work')).toBeLessThan(order.indexOf('9'));
});

test('short work ends in one slice, and an error rejects', async () => {
  const order: number[] = [];
  const work = inSlices(
    count(3, (step) => order.push(step)),
    () => 0,
  );
  expect(order).toEqual([1, 2, 3]);
  expect(await work).toBe('3 steps');
  const failing = count(2, () => {
    throw new Error('broken');
  });
  await expect(inSlices(failing)).rejects.toThrow('broken');
});

test('the same work can run at once', () => {
  const order: number[] = [];
  expect(finish(count(3, (step) => order.push(step)))).toBe('3 steps');
  expect(order).toEqual([1, 2, 3]);
});
