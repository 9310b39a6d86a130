import { expect, test } from 'vitest';
import { splitLogLine } from './log-line.ts';
import { createRequestCounter } from './request-counter.ts';

interface Line {
  target?: string;
  timers?: string;
  status?: number;
  counted?: string;
  routed?: string;
  flags?: string;
  retries?: string;
}

function deltaOf(...lines: Line[]) {
  const counter = createRequestCounter((name) => name === 'gs');
  for (const line of lines) {
    const { target = 'gs/gs-1', timers = '0/5/1/20/30', status = 200, counted = '-' } = line;
    const { routed = 'gs', flags = '----', retries = '0' } = line;
    const text = `10.0.0.1:5555 [24/Nov/2026:16:38:02.689] _gateway ${target} ${timers} ${status} 180 ${counted} ${routed} ${flags} 1/1/0/0/${retries} 0/0 "GET / HTTP/1.1" id`;
    const fields = splitLogLine(text);
    if (fields) counter.count(fields);
  }
  const [delta] = counter.take(7);
  expect(counter.take(8)).toEqual([]);
  return delta;
}

test('a request counts with the status of its client and the time to its response headers, the queue included', () => {
  expect(deltaOf({}, { status: 404 }, { status: 302 }, { status: 502 })).toMatchObject({
    source: 'gateway',
    service: 'gs',
    at: 7,
    statuses: { '2xx': 1, '3xx': 1, '4xx': 1, '5xx': 1 },
    latency: { count: 4, max: 26 },
  });
});

test('a request that no instance could answer counts for its service', () => {
  expect(deltaOf({ target: 'gs/<NOSRV>', timers: '0/-1/-1/-1/0', status: 503, flags: 'SC--' })).toMatchObject(
    { statuses: { '5xx': 1 } },
  );
});

test('a request that the edge counts is not counted again; the retries of HAProxy are', () => {
  expect(deltaOf({ counted: '1' })).toBeUndefined();
  expect(deltaOf({ counted: '1', retries: '+2' })).toMatchObject({
    statuses: { '2xx': 0, '5xx': 0 },
    retries: 2,
    latency: { count: 0 },
  });
});

test('a request rejected by the rate limit counts for the service of its route, and in no latency', () => {
  const rejected = { target: '_gateway/<NOSRV>', timers: '0/-1/-1/-1/0', flags: 'PR--' };
  expect(deltaOf({ ...rejected, status: 429 })).toMatchObject({
    statuses: { '4xx': 1 },
    limited: 1,
    latency: { count: 0 },
  });
  expect(deltaOf({ ...rejected, status: 400, routed: '-' })).toBeUndefined();
  expect(deltaOf({ ...rejected, status: 404, routed: '_unrouted' })).toBeUndefined();
});

test('a 429 of the instance is an ordinary response', () => {
  expect(deltaOf({ status: 429 })).toMatchObject({ limited: 0, latency: { count: 1 } });
});

test('a response that breaks off is a failure; a client that leaves is not', () => {
  expect(deltaOf({ flags: 'SD--' })).toMatchObject({ statuses: { '2xx': 0, '5xx': 1 } });
  expect(deltaOf({ flags: 'CH--', status: -1, timers: '0/0/1/-1/800' })).toMatchObject({
    statuses: { '4xx': 1, '5xx': 0 },
  });
});
