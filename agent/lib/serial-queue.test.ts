import { expect, test } from 'vitest';
import { createSerialQueue } from './serial-queue.ts';

test('tasks run one after another, and a failed task does not stop the next one', async () => {
  const queue = createSerialQueue();
  const order: string[] = [];
  const task = (name: string, failure?: Error) => async () => {
    order.push(`${name} starts`);
    await Promise.resolve();
    order.push(`${name} ends`);
    if (failure) throw failure;
    return name;
  };
  const first = queue.add(task('first', new Error('disk full')));
  const second = queue.add(task('second'));
  await expect(first).rejects.toThrow('disk full');
  expect(await second).toBe('second');
  expect(order).toEqual(['first starts', 'first ends', 'second starts', 'second ends']);
});

test('idle waits for the tasks added so far, and does not reject when one failed', async () => {
  const queue = createSerialQueue();
  let done = false;
  queue
    .add(async () => {
      await Promise.resolve();
      done = true;
      throw new Error('disk full');
    })
    .catch(() => {});
  await queue.idle();
  expect(done).toBe(true);
});
