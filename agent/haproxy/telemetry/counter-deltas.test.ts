import { expect, test } from 'vitest';
import type { ServerStat } from '../socket/parse.ts';
import { type CounterBaseline, computeCounterDeltas } from './counter-deltas.ts';

const stat = (more: Partial<ServerStat> = {}): ServerStat => ({
  service: 's',
  instance: 'a',
  status: 'UP',
  check: 'L7OK',
  agentUp: true,
  weight: 100,
  queued: 0,
  inflight: 0,
  limit: 0,
  responses: { ok: 0, failed: 0 },
  statuses: { '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
  attempts: 0,
  connectFailures: 0,
  redispatches: 0,
  clientAborts: 0,
  serverAborts: 0,
  ...more,
});

/** The result of the last of several polls, each with the pid of its worker. */
function poll(
  ...polls: [pid: number, stat: Partial<ServerStat> & { isShort?: boolean }, malformed?: number][]
) {
  let baseline: CounterBaseline | null = null;
  let last: ReturnType<typeof computeCounterDeltas> | null = null;
  for (const [pid, parts, malformed = 0] of polls) {
    last = computeCounterDeltas(baseline, {
      pid,
      stats: [stat(parts)],
      at: 0,
      malformed: new Map([['s/a', malformed]]),
      isShort: parts.isShort ?? false,
    });
    baseline = last.baseline;
  }
  const { success = 0, failure = 0 } = last?.deltas[0] ?? {};
  return { success, failure, connectFailures: last?.connectFailures.length };
}
const answered = (ok: number, failed = 0) => ({ responses: { ok, failed }, attempts: ok + failed });

test('the first poll sets the baseline; later ones give the difference', () => {
  expect(poll([1, answered(50)])).toEqual({ success: 0, failure: 0, connectFailures: 0 });
  expect(poll([1, answered(50)], [1, answered(57, 2)])).toEqual({
    success: 7,
    failure: 2,
    connectFailures: 0,
  });
});

test('the first poll reports the requests in progress, also when their number does not change', () => {
  const full = stat({ ...answered(50), inflight: 100, limit: 100 });
  const pollOnce = (baseline: CounterBaseline | null) =>
    computeCounterDeltas(baseline, { pid: 1, stats: [full], at: 0, malformed: new Map(), isShort: false });
  const first = pollOnce(null);
  expect(first.deltas).toMatchObject([{ success: 0, failure: 0, inflight: 100, inflightLimit: 100 }]);
  expect(pollOnce(first.baseline).deltas).toEqual([]);
});

test('a new worker and cleared counters count from zero', () => {
  expect(poll([1, answered(50)], [2, answered(60)]).success).toBe(60);
  expect(poll([1, answered(50)], [1, answered(3)]).success).toBe(3);
});

test('attempts without a response are failures; attempts in progress and client aborts are not', () => {
  expect(poll([1, answered(5)], [1, { ...answered(5), attempts: 9 }]).failure).toBe(4);
  expect(
    poll([1, answered(5)], [1, { ...answered(5), attempts: 9, inflight: 3, clientAborts: 1 }]).failure,
  ).toBe(0);
  const waiting = { ...answered(5), attempts: 9, inflight: 4 };
  expect(poll([1, answered(5)], [1, waiting], [1, { ...answered(9), attempts: 9 }])).toEqual({
    success: 4,
    failure: 0,
    connectFailures: 0,
  });
});

test('requests that HAProxy ended because they were malformed are no failures', () => {
  const sent = { ...answered(5), attempts: 9 };
  expect(poll([1, answered(5)], [1, sent, 3]).failure).toBe(1);
  // The log line may come before the counter, or after it.
  expect(poll([1, answered(5)], [1, { ...sent, inflight: 4 }, 4], [1, sent]).failure).toBe(0);
  expect(poll([1, answered(5)], [1, sent], [1, sent, 4], [1, { ...answered(5), attempts: 12 }]).failure).toBe(
    0,
  );
  // A new worker counts from zero.
  expect(poll([1, answered(5)], [1, sent, 4], [2, { attempts: 2 }]).failure).toBe(2);
});

test('no failure counts twice, whatever the gauges do', () => {
  const failed = { ...answered(5), attempts: 8 };
  expect(poll([1, answered(5)], [1, failed], [1, { ...failed, inflight: 2 }], [1, failed]).failure).toBe(0);
});

test('failed connections are failures and cause a probe; broken responses are failures, not successes', () => {
  const moved = { ...answered(5), attempts: 7, redispatches: 2 };
  expect(poll([1, answered(5)], [1, moved])).toEqual({ success: 0, failure: 2, connectFailures: 1 });
  expect(poll([1, answered(5)], [1, { ...answered(8), serverAborts: 1 }])).toMatchObject({
    success: 2,
    failure: 1,
  });
});

test('queue timeouts and redispatches of a full server do not count as failures', () => {
  const full = { ...answered(5), limit: 30, inflight: 30, attempts: 35 };
  const timedOut = { ...full, connectFailures: 4, redispatches: 2 };
  expect(poll([1, { ...full, queued: 9 }], [1, { ...timedOut, queued: 5 }])).toEqual({
    success: 0,
    failure: 0,
    connectFailures: 0,
  });
  const refusing = { ...timedOut, inflight: 0, attempts: 7, connectFailures: 6 };
  expect(
    poll([1, full], [1, timedOut], [1, { ...refusing, limit: 0 }], [1, { ...refusing, connectFailures: 8 }]),
  ).toEqual({
    success: 0,
    failure: 2,
    connectFailures: 1,
  });
});

test('while HAProxy has reached a limit of its own, its connection failures are not those of the instance', () => {
  const failing = { ...answered(5), attempts: 9, connectFailures: 4 };
  expect(poll([1, answered(5)], [1, { ...failing, isShort: true }])).toEqual({
    success: 0,
    failure: 0,
    connectFailures: 0,
  });
  const later = { ...answered(5), attempts: 10, connectFailures: 5 };
  expect(poll([1, answered(5)], [1, { ...failing, isShort: true }], [1, later])).toEqual({
    success: 0,
    failure: 1,
    connectFailures: 1,
  });
  const response = { ...failing, responses: { ok: 5, failed: 1 }, attempts: 10, isShort: true };
  expect(poll([1, answered(5)], [1, response]).failure).toBe(1);
});
