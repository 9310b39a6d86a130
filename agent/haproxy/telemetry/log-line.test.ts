import { expect, test } from 'vitest';
import { attemptOf, splitLogLine } from './log-line.ts';

const parseLogLine = (text: string) => {
  const fields = splitLogLine(text);
  return fields && attemptOf(fields);
};

const line = (target: string, timers: string, flags = '----', rest = '1/1/0/0/0 0/0 "GET / HTTP/1.1" id') =>
  `10.0.0.1:5555 [24/Nov/2026:16:38:02.689] _gateway ${target} ${timers} 200 180 - - ${flags} ${rest}`;

test('the latency is the time to connect and to receive headers, without the queue', () => {
  expect(parseLogLine(line('auth/auth-1', '0/900/2/40/950'))).toEqual({
    service: 'auth',
    instance: 'auth-1',
    request: 'GET / HTTP/1.1" id',
    status: 200,
    latencyMs: 42,
    totalMs: 950,
    end: 'answered',
  });
});

test('the latency of a missing response is the whole wait', () => {
  expect(parseLogLine(line('auth/auth-1', '0/0/1/-1/30001', 'sH--'))).toMatchObject({
    latencyMs: 30_001,
    end: 'answered',
  });
});

test.each([
  ['SC--', '0/0/-1/-1/3', 'connect-failed'],
  ['sQ--', '0/5000/-1/-1/5000', 'queue-timeout'],
  ['CH--', '0/0/1/-1/800', 'abandoned'],
  ['CD--', '0/0/1/9/800', 'answered'],
  ['SH--', '0/0/1/-1/8', 'answered'],
  // HAProxy's own 400 for the rest of a body; its 502 for an invalid response; the instance's 400.
  ['PH--', '0/0/1/-1/8', 'malformed', 400],
  ['PH--', '0/0/1/-1/8', 'answered', 502],
  ['PH--', '0/0/1/3/8', 'answered', 400],
  ['----', '0/0/1/3/8', 'answered', 400],
])('termination state %s', (flags, timers, end, status = 200) => {
  const text = line('auth/auth-1', timers, flags).replace(' 200 180', ` ${status} 180`);
  expect(parseLogLine(text)?.end).toBe(end);
});

test('no server and a malformed line give null', () => {
  expect(parseLogLine(line('auth/<NOSRV>', '0/-1/-1/-1/0', 'SC--'))).toBeNull();
  for (const text of ['', 'x', 'a b c d e f g h i j k', line('auth', '0/0/1/1/1')]) {
    expect(parseLogLine(text)).toBeNull();
  }
});

test('a line from the backend for long-lived connections belongs to the service, and is marked', () => {
  const line =
    '127.0.0.1:1 [28/Nov/2026:10:00:00.000] _gateway gs:long/gs-1 0/0/0/1/9000 200 10 - gs ---- 1/1/0/0/0 0/0 {a|b|c} "GET /events HTTP/1.1"';
  expect(splitLogLine(line)).toMatchObject({ target: 'gs/gs-1', longLived: true });
  expect(splitLogLine(line.replace('gs:long', 'gs'))).toMatchObject({ target: 'gs/gs-1', longLived: false });
});

test.each([
  ['1-', true, false],
  ['11', true, true],
  ['-1', false, true],
  ['--', false, false],
  // Of a frontend with option httplog, and of an older configuration.
  ['-', false, null],
  ['1', true, null],
  ['--1', false, false, true],
  ['111', true, true, true],
])('marks %s', (marks, countedByEdge, isWithoutSession, isUpload = false) => {
  const text = line('auth/auth-1', '0/900/2/40/950').replace('200 180 - -', `200 180 ${marks} auth`);
  const read = { client: '10.0.0.1', bytes: 180, countedByEdge, isWithoutSession, isUpload };
  expect(splitLogLine(text)).toMatchObject(read);
});
