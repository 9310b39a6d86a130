import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSystemd } from './systemd.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('READY, two watchdog pings per timeout, then STOPPING and no more', () => {
  const sent: string[] = [];
  const systemd = createSystemd(
    { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '10000000', WATCHDOG_PID: String(process.pid) },
    (message) => sent.push(message),
  );
  vi.advanceTimersByTime(20_000);
  expect(sent).toEqual([]);
  systemd.ready();
  vi.advanceTimersByTime(10_000);
  systemd.stopping();
  vi.advanceTimersByTime(20_000);
  expect(sent).toEqual(['READY=1', 'WATCHDOG=1', 'WATCHDOG=1', 'STOPPING=1']);
});

test('without a socket nothing is sent; a watchdog of another process is not pinged', () => {
  const sent: string[] = [];
  createSystemd({}, (message) => sent.push(message)).ready();
  createSystemd({ NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }, (message) =>
    sent.push(message),
  ).ready();
  vi.advanceTimersByTime(10_000);
  expect(sent).toEqual(['READY=1']);
});
