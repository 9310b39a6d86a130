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
  address: '10.0.0.1:80',
  queued: 0,
  inflight: 0,
  responses: { ok: 0, failed: 0 },
  tries: 0,
  unconnected: 0,
  redispatches: 0,
  clientAborts: 0,
  serverAborts: 0,
  responseMs: 0,
  ...more,
});

/** Looks one after the other, each with its worker's pid; what the last one told. */
function look(...looks: [pid: number, stat: Partial<ServerStat>][]) {
  let memory: CounterBaseline | null = null;
  let last: ReturnType<typeof computeCounterDeltas> | null = null;
  for (const [pid, parts] of looks) {
    last = computeCounterDeltas(memory, pid, [stat(parts)], 0);
    memory = last.memory;
  }
  const { success = 0, failure = 0 } = last?.deltas[0] ?? {};
  return { success, failure, refused: last?.refused.length };
}
const answered = (ok: number, failed = 0) => ({ responses: { ok, failed }, tries: ok + failed });

test('the first look is only remembered; later ones tell the difference', () => {
  expect(look([1, answered(50)])).toEqual({ success: 0, failure: 0, refused: 0 });
  expect(look([1, answered(50)], [1, answered(57, 2)])).toEqual({ success: 7, failure: 2, refused: 0 });
});

test('a new worker and cleared counters count from zero', () => {
  expect(look([1, answered(50)], [2, answered(60)]).success).toBe(60);
  expect(look([1, answered(50)], [1, answered(3)]).success).toBe(3);
});

test('tries without an answer are failures, those in progress and those given up by clients are not', () => {
  expect(look([1, answered(5)], [1, { ...answered(5), tries: 9 }]).failure).toBe(4);
  expect(
    look([1, answered(5)], [1, { ...answered(5), tries: 9, inflight: 3, clientAborts: 1 }]).failure,
  ).toBe(0);
  const waiting = { ...answered(5), tries: 9, inflight: 4 };
  expect(look([1, answered(5)], [1, waiting], [1, { ...answered(9), tries: 9 }])).toEqual({
    success: 4,
    failure: 0,
    refused: 0,
  });
});

test('no failure is told twice, however the gauges move', () => {
  const failed = { ...answered(5), tries: 8 };
  expect(look([1, answered(5)], [1, failed], [1, { ...failed, inflight: 2 }], [1, failed]).failure).toBe(0);
});

test('refused connections are failures and worth a probe; broken answers are failures, not successes', () => {
  const moved = { ...answered(5), tries: 7, redispatches: 2 };
  expect(look([1, answered(5)], [1, moved])).toEqual({ success: 0, failure: 2, refused: 1 });
  expect(look([1, answered(5)], [1, { ...answered(8), serverAborts: 1 }])).toMatchObject({
    success: 2,
    failure: 1,
  });
});
