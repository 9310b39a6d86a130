import { expect, test } from 'vitest';
import { createHeldAnswers, type HeldAnswers } from './held-answers.ts';

const observe = (held: HeldAnswers, service: string, path: string, latencyMs: number) =>
  held.observe(service, { request: `GET ${path} HTTP/1.1`, latencyMs, isStream: false }, 0);

test('answers of a class that usually takes long are held; those of others are not', () => {
  const held = createHeldAnswers();
  const poll = (latencyMs: number) => observe(held, 'gs', '/events/poll?since=7', latencyMs);
  for (let count = 0; count < 4; count++) expect(poll(25_000)).toBe(false);
  expect(poll(25_000)).toBe(true);
  expect(poll(5)).toBe(true);
  expect(observe(held, 'gs', '/items/1', 25_000)).toBe(false);
  expect(observe(held, 'other', '/events/poll', 25_000)).toBe(false);
});

test('one slow instance of three does not make its answers held', () => {
  const held = createHeldAnswers();
  const results = Array.from({ length: 300 }, (_, index) =>
    observe(held, 'gs', '/items/1', index % 3 === 0 ? 12_000 : 5),
  );
  expect(results).not.toContain(true);
});

test('a class that becomes quick is ordinary again', () => {
  const held = createHeldAnswers();
  const answer = (latencyMs: number) => observe(held, 'gs', '/poll', latencyMs);
  for (let count = 0; count < 100; count++) answer(5_000);
  for (let count = 0; count < 300; count++) answer(5);
  expect(answer(5)).toBe(false);
});

test('held classes and streams are listed when the rest of their service is quick', () => {
  const held = createHeldAnswers();
  const stream = { request: 'POST /chat HTTP/1.1', latencyMs: 20, isStream: true };
  for (let count = 0; count < 12; count++) {
    observe(held, 'gs', '/poll?since=1', 25_000);
    held.observe('gs', stream, 0);
    observe(held, 'slow', '/report', 25_000);
  }
  // A stream is never a slow answer.
  expect(held.list(0)).toEqual([{ service: 'gs', path: '/chat' }]);
  for (let count = 0; count < 30; count++) {
    observe(held, 'gs', `/items/${count % 3}`, 5);
    observe(held, 'slow', '/', count % 2 === 0 ? 3_000 : 5);
  }
  expect(held.list(0)).toEqual([
    { service: 'gs', path: '/poll' },
    { service: 'gs', path: '/chat' },
  ]);
  expect(held.list(20 * 60_000)).toEqual([]);
});

test('a class may be one of streams until most of its answers end soon after their headers', () => {
  const held = createHeldAnswers();
  const answer = (path: string, isStream: boolean) =>
    held.observe('gs', { request: `GET ${path} HTTP/1.1`, latencyMs: 5, isStream }, 0);
  expect(held.mayStayOpen('gs', 'GET /items/1 HTTP/1.1')).toBe(true);
  for (let count = 0; count < 20; count++) {
    answer('/items/1', count % 5 === 0);
    answer('/events', true);
  }
  expect(held.mayStayOpen('gs', 'GET /items/1 HTTP/1.1')).toBe(false);
  expect(held.mayStayOpen('gs', 'GET /events HTTP/1.1')).toBe(true);
  expect(held.mayStayOpen('other', 'GET /items/1 HTTP/1.1')).toBe(true);
});
