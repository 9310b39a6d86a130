import { expect, test } from 'vitest';
import { newestOnly } from './api.js';

test('of questions asked one after another only the newest counts, kind by kind', () => {
  const beginList = newestOnly();
  const beginOpening = newestOnly();
  const first = beginList();
  expect(first()).toBe(true);
  const second = beginList();
  const opening = beginOpening();
  expect([first(), second(), opening()]).toEqual([false, true, true]);
});
