import { expect, test } from 'vitest';
import { latestOnly } from './api.js';

test('only the latest request of each kind counts', () => {
  const beginList = latestOnly();
  const beginDetails = latestOnly();
  const first = beginList();
  expect(first()).toBe(true);
  const second = beginList();
  const details = beginDetails();
  expect([first(), second(), details()]).toEqual([false, true, true]);
});
