import { expect, test } from 'vitest';
import { parseLogLine } from './log-line.ts';

const line = (target: string, timers: string, flags = '----', rest = '1/1/0/0/0 0/0 "GET / HTTP/1.1" id') =>
  `10.0.0.1:5555 [24/Nov/2026:16:38:02.689] _gateway ${target} ${timers} 200 180 - - ${flags} ${rest}`;

test('the latency is connecting and waiting for headers, not the queue', () => {
  expect(parseLogLine(line('auth/auth-1', '0/900/2/40/950'))).toEqual({
    service: 'auth',
    instance: 'auth-1',
    latencyMs: 42,
    unconnected: false,
  });
});

test('an answer that never came took as long as it was waited for', () => {
  expect(parseLogLine(line('auth/auth-1', '0/0/1/-1/30001', 'sH--'))?.latencyMs).toBe(30_001);
});

test('a connection that failed is told apart', () => {
  expect(parseLogLine(line('auth/auth-1', '0/0/-1/-1/3', 'SC--'))?.unconnected).toBe(true);
});

test('no server, a client that left, and what is no log line say nothing', () => {
  expect(parseLogLine(line('auth/<NOSRV>', '0/-1/-1/-1/0', 'SC--'))).toBeNull();
  expect(parseLogLine(line('auth/auth-1', '0/0/1/-1/800', 'CH--'))).toBeNull();
  for (const text of ['', 'x', 'a b c d e f g h i j k', line('auth', '0/0/1/1/1')]) {
    expect(parseLogLine(text)).toBeNull();
  }
});
