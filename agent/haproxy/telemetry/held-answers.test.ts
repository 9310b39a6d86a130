import { expect, test } from 'vitest';
import { createHeldAnswers } from './held-answers.ts';

test('answers of a class that usually takes long are held; those of others are not', () => {
  const held = createHeldAnswers();
  const poll = (latencyMs: number) => held.observe('gs', 'GET /events/poll?since=7 HTTP/1.1', latencyMs);
  for (let count = 0; count < 4; count++) expect(poll(25_000)).toBe(false);
  expect(poll(25_000)).toBe(true);
  expect(poll(5)).toBe(true);
  expect(held.observe('gs', 'GET /items/1 HTTP/1.1', 25_000)).toBe(false);
  expect(held.observe('other', 'GET /events/poll HTTP/1.1', 25_000)).toBe(false);
});

test('one slow instance of three does not make its answers held', () => {
  const held = createHeldAnswers();
  const results = Array.from({ length: 300 }, (_, index) =>
    held.observe('gs', 'GET /items/1 HTTP/1.1', index % 3 === 0 ? 12_000 : 5),
  );
  expect(results).not.toContain(true);
});

test('a class that becomes quick is ordinary again', () => {
  const held = createHeldAnswers();
  const answer = (latencyMs: number) => held.observe('gs', 'GET /poll HTTP/1.1', latencyMs);
  for (let count = 0; count < 100; count++) answer(5_000);
  for (let count = 0; count < 300; count++) answer(5);
  expect(answer(5)).toBe(false);
});
