import { expect, test } from 'vitest';
import { acceptsEventStream, compileLongLived } from './long-lived.ts';

const plain = { isWebSocket: false, wantsEventStream: false };

test('WebSockets, event streams and the named paths are long-lived and have their own timeouts', () => {
  const rules = compileLongLived({ timeout: 30_000, longLived: { idle: 60_000, paths: ['/poll'] } });
  expect(['/poll', '/poll/1', '/pollster', '/'].map((path) => rules.covers({ ...plain, path }))).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(rules.covers({ ...plain, path: '/', isWebSocket: true })).toBe(true);
  expect(rules.covers({ ...plain, path: '/', wantsEventStream: true })).toBe(true);
  expect(rules.headersTimeout({ isWebSocket: false })).toBe(60_000);
  expect(rules.headersTimeout({ isWebSocket: true })).toBe(30_000);
  expect(compileLongLived({ timeout: 30_000 }).headersTimeout({ isWebSocket: false })).toBe(300_000);
});

test.each([
  ['text/event-stream', true],
  ['text/html, Text/Event-Stream', true],
  // HAProxy compares in the same way.
  ['text/event-stream;q=0.9', false],
  ['text/event-stream-x', false],
  [null, false],
])('Accept: %s', (accept, expected) => {
  expect(acceptsEventStream(accept)).toBe(expected);
});
